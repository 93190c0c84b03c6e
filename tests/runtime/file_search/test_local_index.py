"""The index of a FileSearch that is kept: what has changed is read again, what is gone goes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentrt import FileSearch
from agentrt.errors import ModelError, ModelNotFoundError, StoreError
from agentrt.testing.embedding_answers import embedding_script
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.rerank_answers import rerank_script
from tests.runtime.file_search.reading import LEAVE, REFUND, Words, names, write


async def ids(folder: Path, index: Path, **options: object) -> dict[str, str]:
    """Open the index; the ids of its files by their names."""
    async with FileSearch(folder, path=index, **options) as files:  # type: ignore[arg-type]
        return {file.name: file.id for file in files.files.values()}


def age(*paths: Path) -> None:
    """Let files be old: nobody has written to them just now."""
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write(tmp_path / "book", {"leave.md": LEAVE, "refund.md": REFUND, "broken.pdf": b"%PDF-1.7 rubbish"})
    age(*folder.iterdir())
    return folder


async def test_only_what_has_changed_is_read_again_and_what_is_gone_goes(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index" / "book.index"
    before = await ids(folder, index)
    assert before.keys() == {"leave.md", "refund.md"}
    write(folder, {"leave.md": "Everybody has 30 days of leave a year.", "new.md": "Parking is free."})
    (folder / "refund.md").touch()  # and says the same
    (folder / "broken.pdf").unlink()
    after = await ids(folder, index)

    assert after.keys() == {"leave.md", "refund.md", "new.md"}
    assert after["refund.md"] == before["refund.md"]
    assert after["leave.md"] != before["leave.md"]
    async with FileSearch(folder, path=index) as files:
        assert files.failures == []
        assert [hit.text for hit in await files.search("leave")] == ["Everybody has 30 days of leave a year."]
        (folder / "new.md").unlink()
        assert await files.search("parking")
        await files.refresh()
        assert not await files.search("parking")
        assert names(files) == ["leave.md", "refund.md"]


async def test_a_change_that_leaves_size_and_time_alone_is_seen_when_it_is_fresh(tmp_path: Path) -> None:
    folder = write(tmp_path / "book", {"leave.md": LEAVE})
    there = (folder / "leave.md").stat()
    await ids(folder, tmp_path / "index.db")
    write(folder, {"leave.md": LEAVE.replace("28", "30")})
    os.utime(folder / "leave.md", ns=(there.st_atime_ns, there.st_mtime_ns))
    async with FileSearch(folder, path=tmp_path / "index.db") as files:
        (hit,) = await files.search("leave")
    assert "30 days" in hit.text


async def test_a_file_of_the_same_size_and_an_old_time_is_not_even_opened(folder: Path, tmp_path: Path) -> None:
    await ids(folder, tmp_path / "index.db")
    write(folder, {"leave.md": LEAVE.replace("28", "30")})
    age(folder / "leave.md")
    async with FileSearch(folder, path=tmp_path / "index.db") as files:
        assert [hit.text for hit in await files.search("leave")] == [LEAVE]


async def test_a_file_that_cannot_be_read_now_is_found_as_it_was(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    before = await ids(folder, index)
    write(folder, {"leave.md": b"\x00\x01\x02\x03" * 100})
    async with FileSearch(folder, path=index) as files:
        assert before["leave.md"] in files.files
        (failure,) = [failure for failure in files.failures if failure.name == "leave.md"]
        assert failure.reason.endswith("What is found of it is as it was before.")
        assert failure.path == folder / "leave.md"
        assert len(await files.search("leave")) == 1


async def test_what_failed_is_not_read_again_before_it_changes(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = tmp_path / "index.db"
    caplog.set_level(logging.INFO, "agentrt")
    await ids(folder, index)
    (refused,) = [record for record in caplog.records if record.message == "ingest.refused"]
    assert refused.levelno == logging.INFO, "a program without logging shall not find this word on its terminal"
    caplog.clear()
    async with FileSearch(folder, path=index) as files:
        assert ["damaged" in failure.reason for failure in files.failures] == [True]
    assert not caplog.records


async def test_other_chunks_and_other_attributes_take_effect(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    before = await ids(folder, index)
    only = {"type": "eq", "key": "kind", "value": "leave"}
    async with FileSearch(folder, path=index, attributes=lambda name: {"kind": name.split(".")[0]}) as files:
        assert {file.id for file in files.files.values()} == set(before.values())
        assert [hit.file_name for hit in await files.search("days", filter=only)] == ["leave.md"]
    again = await ids(folder, index, chunk_tokens=200, overlap_tokens=0)
    assert not set(again.values()) & set(before.values())


async def test_other_sources_take_the_place_of_those_before(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    before = await ids(folder, index)
    after = await ids(folder / "leave.md", index)
    assert after == {"leave.md": before["leave.md"]}


async def test_globs_choose_files_and_the_index_is_not_one_of_them(folder: Path) -> None:
    async with FileSearch(folder, path=folder / "own.index", ignore=["*.pdf"]) as files:
        assert names(files) == ["leave.md", "refund.md"]
        assert files.failures == []
        await files.refresh()
        assert names(files) == ["leave.md", "refund.md"]
    async with FileSearch(folder, include=["leave*"]) as files:
        assert names(files) == ["leave.md"]


async def test_files_whose_names_begin_as_that_of_the_index_are_searched(folder: Path) -> None:
    write(folder, {"index.html": "<p>A zebra.</p>", "index-2024.md": "A giraffe.", "index.lock.md": "A key."})
    async with FileSearch(folder, path=folder / "index", ignore=["*.pdf"]) as files:
        await files.refresh()
        assert names(files) == ["index-2024.md", "index.html", "index.lock.md", "leave.md", "refund.md"]


async def test_without_a_path_the_index_goes_with_its_object(folder: Path) -> None:
    files = FileSearch(folder)
    await files.search("leave")
    path = files.index_path
    assert path.is_file()
    del files
    assert not path.parent.exists()


async def test_an_index_is_one_programs_at_a_time(folder: Path, tmp_path: Path) -> None:
    async with FileSearch(folder, path=tmp_path / "index.db"):
        with pytest.raises(StoreError, match="another process has it open"):
            await FileSearch(folder, path=tmp_path / "index.db").search("leave")


async def test_a_model_for_vectors_finds_what_words_do_not(folder: Path, tmp_path: Path) -> None:
    index, embedder = tmp_path / "index.db", Words()
    await ids(folder, index)  # by words alone at first
    async with FileSearch(folder, path=index, embedding=embedder) as files:
        shown = await files.explain("leave")
        assert shown.vector_model == "words"
        assert shown.candidates[0].vector_score is not None
        assert sorted({words for as_, words in embedder.asked if as_ == "document"}) == [LEAVE, REFUND]
    other = Words("others")
    async with FileSearch(folder, path=index, embedding=other) as files:
        assert (await files.explain("leave")).vector_model == "others"
    async with FileSearch(folder, path=index) as files:
        assert (await files.explain("leave")).vector_model is None


async def test_a_model_for_vectors_that_is_away_is_told_and_made_up_for(folder: Path, tmp_path: Path) -> None:
    index, embedder = tmp_path / "index.db", Words()
    embedder.failure = ModelError("It is away.")
    async with FileSearch(folder, path=index, embedding=embedder) as files:
        assert files.problems == ["Not all files can be searched by meaning: It is away."]
        assert [hit.file_name for hit in await files.search("leave")] == ["leave.md"]
        embedder.failure = None
        await files.refresh()
        assert files.problems == []
        assert (await files.explain("leave")).vector_model == "words"


async def test_a_model_for_vectors_is_found_in_agents_toml_by_its_name(folder: Path, tmp_path: Path) -> None:
    async with FakeModelServer(embedding_script()) as server:
        config = tmp_path / "agents.toml"
        config.write_text(
            'version = 1\n[models.small]\nprovider = "compatible"\nmodel = "small-1"\nembedding = {}\n'
            f'base_url = "{server.url}"\n'
        )
        async with FileSearch(folder, embedding="small", config=config) as files:
            assert (await files.explain("leave")).vector_model == "small-1"
            assert not files.problems


async def test_a_reranker_has_the_last_word(folder: Path) -> None:
    class Backwards:
        name, candidates, window_tokens, within_s = "backwards", 50, None, 5.0

        async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
            return [n / len(passages) for n in range(len(passages))]

    async with FileSearch(folder, reranker=Backwards()) as files:
        shown = await files.explain("days of leave")
    assert [hit.file_name for hit in shown.hits] == ["refund.md", "leave.md"]
    assert shown.rerank_model == "backwards"


async def test_a_reranker_is_found_in_agents_toml_by_its_name(folder: Path, tmp_path: Path) -> None:
    async with FakeModelServer(rerank_script()) as server:
        config = tmp_path / "agents.toml"
        config.write_text(
            'version = 1\n[models.judge]\nprovider = "compatible"\nmodel = "judge-1"\nrerank = {}\n'
            f'base_url = "{server.url}"\n'
        )
        async with FileSearch(folder, reranker="judge", config=config) as files:
            assert (await files.explain("leave")).rerank_model == "judge"
        with pytest.raises(ModelNotFoundError):
            await FileSearch(folder, reranker="other", config=config).search("leave")


async def test_bytes_are_read_as_their_name_says(folder: Path) -> None:
    async with FileSearch(("page.html", b"<html><body><p>Parking is <b>free</b>.</p></body></html>")) as files:
        (hit,) = await files.search("parking")
    assert hit.text.strip() == "Parking is free."
    assert files.files[hit.file_id].path is None


async def test_use_by_several_tasks_opens_and_closes_once(folder: Path) -> None:
    files = FileSearch(folder)

    async def use() -> None:
        async with files:
            await asyncio.sleep(0)
            assert await files.search("leave")

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(use())
    async with files:
        assert await files.search("leave")
