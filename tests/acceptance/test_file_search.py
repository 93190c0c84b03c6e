"""From an upload to a cited answer and to deletion, with the official SDK and an embedding model, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from agentrt.clock import SystemClock
from agentrt.store.database import Tx
from agentrt.store.open import open_store
from agentrt.testing.embedding_answers import embedding_script
from agentrt.testing.fake_model_server import FakeModelServer
from tests.compat.background import LoopThread
from tests.compat.deployment import KEY, Deployment
from tests.files.documents import docx
from tests.files.pdfs import pdf

# Of the SDK: all of the API's assistants are, there.
pytestmark = pytest.mark.filterwarnings("ignore:(deprecated|The Assistants API is deprecated):DeprecationWarning")

Deploy = Callable[..., Deployment]
Witnessed = Callable[[Deployment], str]

CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"
HANDBOOK = docx("Refunds are paid within thirty days after the goods are back.")
PARKING = pdf("Cars are parked before the house.", "Bicycles are parked behind the house.")
SONG = "The song 🎵 has nothing to say.".encode("utf-16")
DAY_S = 86_400


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """A URL, empty for SQLite in the deployment's own folder."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def near(servers: LoopThread) -> Iterator[str]:
    """A model server that makes vectors; its URL."""
    server = FakeModelServer(embedding_script())
    servers.run(server.__aenter__())
    yield server.url
    servers.run(server.__aexit__(None, None, None))


def test_files_are_uploaded_found_cited_and_gone(
    deploy: Deploy, witnessed: Witnessed, database: str, near: str
) -> None:
    model = f'provider = "compatible"\nbase_url = "{near}"\nmodel = "near"\nembedding = {{}}\n'
    deployment = deploy(database=database, more=f'[models.near]\n{model}[search]\nembedding = "near"\n')
    deployment.start()
    with OpenAI(base_url=f"{witnessed(deployment)}/v1", api_key=KEY, max_retries=0) as client:
        store = client.vector_stores.create(name="house", expires_after={"anchor": "last_active_at", "days": 7})
        batch = client.vector_stores.file_batches.upload_and_poll(
            vector_store_id=store.id,
            files=[("handbook.docx", HANDBOOK), ("parking.pdf", PARKING), ("song.txt", SONG), ("none.pdf", b"%PDF-")],
        )
        counts = batch.file_counts
        assert (batch.status, counts.completed, counts.failed, counts.total) == ("completed", 3, 1, 4)
        assert client.vector_stores.retrieve(store.id).usage_bytes > 0
        names = {client.files.retrieve(file.id).filename: file.id for file in client.vector_stores.files.list(store.id)}
        it_is_found_by_words_and_by_vectors(client, store.id)
        it_is_cited(client, store.id, names)
        assert client.files.content(names["parking.pdf"]).read() == PARKING
        it_is_gone_once_it_is_deleted(client, store.id, names)
        assert deployment.stop() == 0
        asyncio.run(age(database or f"sqlite:///{deployment.folder}/data/agentrt.db", days=8))
        deployment.start()
    with OpenAI(base_url=f"{witnessed(deployment)}/v1", api_key=KEY, max_retries=0) as client:
        it_has_expired(client, store.id)
    assert deployment.stop() == 0


def it_is_found_by_words_and_by_vectors(client: OpenAI, store_id: str) -> None:
    found = client.vector_stores.search(store_id, query="bicycles", extra_body={"explain": True})
    assert found.data[0].filename == "parking.pdf"
    assert found.model_extra is not None
    account = found.model_extra["explain"]
    assert (account["vector_model"], account["why_no_vectors"]) != (None, None)
    best = account["candidates"][0]
    assert best["keyword_score"] > 0
    assert best["vector_score"] > 0
    assert (best["outcome"], best["page"]) == ("kept", 1)


def it_is_cited(client: OpenAI, store_id: str, names: dict[str, str]) -> None:
    assistant = client.beta.assistants.create(
        model="puppet",
        instructions="play: search",
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store_id]}},
    )
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Well?"}]}
    )
    assert run.status == "completed", run.last_error
    (message,) = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    (part,) = message.content
    assert part.type == "text"
    notes = [note for note in part.text.annotations if note.type == "file_citation"]
    assert [part.text.value[note.start_index : note.end_index] for note in notes] == [note.text for note in notes]
    assert {names["handbook.docx"], names["parking.pdf"]} <= {note.file_citation.file_id for note in notes}
    (step, _) = client.beta.threads.runs.steps.list(
        run.id, thread_id=run.thread_id, order="asc", include=[CONTENT]
    ).data
    assert step.step_details.type == "tool_calls"
    (call,) = step.step_details.tool_calls
    assert call.type == "file_search"
    shown = {one.file_name: (one.content or [])[0].text for one in call.file_search.results or []}
    assert shown["handbook.docx"] == "Refunds are paid within thirty days after the goods are back."
    assert "Bicycles are parked behind the house." in (shown["parking.pdf"] or "")


def it_is_gone_once_it_is_deleted(client: OpenAI, store_id: str, names: dict[str, str]) -> None:
    client.files.delete(names["parking.pdf"])
    client.vector_stores.files.delete(names["handbook.docx"], vector_store_id=store_id)
    for query in ("bicycles parked behind the house", "refunds within thirty days"):
        assert {one.filename for one in client.vector_stores.search(store_id, query=query).data} <= {"song.txt"}
    assert client.vector_stores.retrieve(store_id).file_counts.completed == 1


def it_has_expired(client: OpenAI, store_id: str) -> None:
    assert client.vector_stores.retrieve(store_id).status == "expired"
    with pytest.raises(BadRequestError) as caught:
        client.vector_stores.search(store_id, query="song")
    assert caught.value.code == "vector_store_expired"


async def age(url: str, *, days: int) -> None:
    """Let the stores not have been used for so long."""

    def write(tx: Tx) -> None:
        ago = days * DAY_S
        tx.conn.exec_driver_sql(
            f"UPDATE vector_store SET last_active_at = last_active_at - {ago}, expires_at = expires_at - {ago}"
        )

    store = await open_store(url, clock=SystemClock())
    try:
        await store.write(write)
    finally:
        await store.close()
