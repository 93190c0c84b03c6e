"""Vector stores: files put in one by one and together, polled for, searched, listed and taken out again."""

from __future__ import annotations

from openai import BadRequestError, NotFoundError, OpenAI

from tests.compat.sdk.scenario import scenario

TEXTS = {
    "liver.txt": b"The liver makes bile. Cells of the liver store sugar.",
    "heart.txt": b"The heart pumps blood. A heart beats sixty times in a minute.",
    "house.txt": b"A house has walls and a roof.",
}


@scenario
def a_vector_store_is_kept_changed_and_deleted(client: OpenAI) -> None:
    made = client.vector_stores.create()
    assert made.id.startswith("vs_")
    assert (made.name, made.status, made.file_counts.total) == ("", "completed", 0)
    changed = client.vector_stores.update(
        made.id, name="papers", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 2}
    )
    assert (changed.name, changed.metadata) == ("papers", {"a": "b"})
    assert changed.last_active_at is not None
    assert changed.expires_at == changed.last_active_at + 2 * 86400
    assert client.vector_stores.retrieve(made.id) == changed
    others = [client.vector_stores.create(name=str(n)).id for n in range(3)]
    listed = [store.id for store in client.vector_stores.list(limit=2)]
    assert listed[: len(others)] == others[::-1]
    assert made.id in listed
    deleted = client.vector_stores.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "vector_store.deleted")
    try:
        client.vector_stores.retrieve(made.id)
    except NotFoundError as error:
        assert f"Vector store with id [{made.id}] not found." in error.message
    else:
        raise AssertionError("the store is still there")


@scenario
def a_file_is_uploaded_into_a_store_and_found(client: OpenAI) -> None:
    store = client.vector_stores.create(name="organs")
    file = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("liver.txt", TEXTS["liver.txt"]), attributes={"organ": "liver", "n": 1}
    )
    assert (file.status, file.last_error, file.usage_bytes) == ("completed", None, len(TEXTS["liver.txt"]))
    assert file.attributes == {"organ": "liver", "n": 1}
    assert file.chunking_strategy is not None
    assert file.chunking_strategy.type == "static"
    assert file.chunking_strategy.static.max_chunk_size_tokens == 800
    found = client.vector_stores.search(store.id, query="What makes bile?", max_num_results=3)
    (result,) = found.data
    assert (result.file_id, result.filename, result.attributes) == (file.id, "liver.txt", {"organ": "liver", "n": 1})
    assert [part.text for part in result.content] == [TEXTS["liver.txt"].decode()]
    assert 0 < result.score <= 1
    pieces = client.vector_stores.files.content(file.id, vector_store_id=store.id)
    assert "".join(piece.text or "" for piece in pieces) == TEXTS["liver.txt"].decode()
    client.files.delete(file.id)
    assert client.vector_stores.search(store.id, query="bile").data == []
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0


@scenario
def a_batch_of_files_is_uploaded_and_polled_for(client: OpenAI) -> None:
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.upload_and_poll(
        vector_store_id=store.id, files=[*TEXTS.items(), ("empty.txt", b"")]
    )
    assert batch.status == "completed"
    counts = batch.file_counts
    assert (counts.completed, counts.failed, counts.in_progress, counts.total) == (3, 1, 0, 4)
    listed = list(client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, limit=2))
    assert len(listed) == 4
    (failed,) = client.vector_stores.files.list(store.id, filter="failed").data
    assert failed.last_error is not None
    assert failed.last_error.code == "invalid_file"
    for file in list(client.vector_stores.files.list(store.id)):
        client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    assert client.vector_stores.files.list(store.id).data == []


@scenario
def searches_are_filtered_and_ranked(client: OpenAI) -> None:
    files = {name: client.files.create(file=(name, text), purpose="assistants").id for name, text in TEXTS.items()}
    store = client.vector_stores.create(file_ids=list(files.values())[:1])
    for n, file_id in enumerate(files.values()):
        client.vector_stores.files.create_and_poll(file_id, vector_store_id=store.id, attributes={"n": n})
    found = client.vector_stores.search(
        store.id,
        query=["liver", "heart", "roof"],
        filters={
            "type": "or",
            "filters": [{"type": "eq", "key": "n", "value": 0}, {"type": "gt", "key": "n", "value": 1}],
        },
        ranking_options={"ranker": "auto", "score_threshold": 0.0},
        rewrite_query=True,
    )
    assert {result.filename for result in found.data} == {"liver.txt", "house.txt"}
    assert client.vector_stores.search(store.id, query="roof", ranking_options={"score_threshold": 1.0}).data == []
    changed = client.vector_stores.files.update(files["house.txt"], vector_store_id=store.id, attributes={"n": 7})
    assert changed.attributes == {"n": 7}
    found = client.vector_stores.search(
        store.id, query="roof", filters={"type": "eq", "key": "n", "value": 7}, extra_body={"explain": True}
    )
    assert found.model_extra is not None
    assert found.model_extra["explain"]["candidates"][0]["matched_terms"] == ["roof"]
    try:
        client.vector_stores.search(store.id, query="roof", filters={"type": "like", "key": "n", "value": 7})  # type: ignore[arg-type]
    except BadRequestError as error:
        assert error.param == "filters.type"
    else:
        raise AssertionError("a filter that is none is let pass")
