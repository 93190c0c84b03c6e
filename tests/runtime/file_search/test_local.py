"""An Agent in code that searches files: in memory with an index of its own, on stored threads with the runtime's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt import Agent, Conversation, FileSearch, FunctionTool, SearchHit
from agentrt.errors import InvalidRequestError, ModelNotFoundError, NotFoundError, ToolDefinitionError, UnavailableError
from agentrt.testing.scripts import ScriptedModel, call, text
from tests.files.pdfs import pdf
from tests.runtime.conftest import World
from tests.runtime.file_search.reading import LEAVE, REFUND, asks, cited, events_of, names, read_last, shown, write
from tests.runtime.file_search.searching import open_librarian, search

Open = Callable[..., AbstractAsyncContextManager[World]]


async def test_an_answer_cites_file_page_and_place(tmp_path: Path) -> None:
    folder = write(tmp_path / "book", {"hr/rules.pdf": pdf("About us.", LEAVE), "shop.md": f"# Shop\n\n{REFUND}\n"})
    model = asks("days of leave", answer="You have 28 days【1:0†source】.")
    result = await Agent(model=model, tools=[FileSearch(folder)]).run("How many days of leave do I have?")

    (citation,) = result.citations
    assert result.text[citation.start : citation.end] == citation.marker == "【1:0†source】"
    assert (citation.file_name, citation.page) == ("hr/rules.pdf", 1)
    assert LEAVE in citation.passage
    assert [shown.queries for shown in result.searches] == [("days of leave",)]
    assert cited(result.messages[-1]) == ["【1:0†source】"]
    offered = str(model.requests[0].tools)
    assert "hr/rules.pdf" in offered
    assert "shop.md" in offered


async def test_the_place_of_a_passage_is_where_it_stands_in_the_file() -> None:
    text_ = "".join(f"Paragraph {n} is about nothing.\n\n" for n in range(200)) + f"{LEAVE}\n"
    async with FileSearch(("book.txt", text_), chunk_tokens=100, overlap_tokens=50) as files:
        (hit, *_) = await files.search("leave", limit=3)
        assert isinstance(hit, SearchHit)
        assert text_[hit.start : hit.end] == hit.text
        assert LEAVE in hit.text
        result = await Agent(model=asks("leave", answer="28【1:0†source】"), tools=[files]).run("Leave?")
    (citation,) = result.citations
    assert text_[citation.source_start : citation.source_end].strip() == citation.passage


async def test_what_was_considered_is_told_as_in_a_step_of_the_server() -> None:
    files = FileSearch(("leave.md", LEAVE), ("refund.md", REFUND), max_num_results=1)
    told = shown(await events_of(Agent(model=asks("leave days"), tools=[files]), "Go"))

    assert [(hit.file_name, hit.marker) for hit in told.hits] == [("leave.md", "【1:0†source】")]
    assert {(one.file_name, one.fate) for one in told.candidates} == {
        ("leave.md", "kept"),
        ("refund.md", "beyond_limit"),
    }
    assert 0 < told.n_tokens <= told.budget_tokens == 16_000
    explained = await files.explain("leave days", limit=1)
    assert [one.fate for one in explained.candidates] == ["kept", "beyond_limit"]
    assert explained.candidates[0].words == ("leave", "days")


async def test_a_small_model_reads_less() -> None:
    files = FileSearch(("long.txt", f"{LEAVE} " * 2_000))
    model = ScriptedModel(search("leave"), text("Ok."), context_window=8_000)
    told = shown(await events_of(Agent(model=model, tools=[files]), "Go"))

    assert told.budget_tokens == 2_000
    assert told.n_tokens <= 2_000


async def test_no_two_runs_of_a_conversation_share_a_marker_and_old_ones_are_still_citations() -> None:
    model = ScriptedModel(search("leave"), text("28【1:0†source】"), search("refund"), text("14【5:0†source】"),
                          text("As I said: 28【1:0†source】, and 14【5:0†source】, not 3【9:9†source】"))  # fmt: skip
    conversation = Conversation()
    async with FileSearch(("leave.md", LEAVE), ("refund.md", REFUND)) as files:
        one = Agent(model=model, tools=[files], name="one")
        other = Agent(model=model, tools=[files], name="other")  # shares the files
        await one.run("Leave?", thread=conversation)
        await other.run("Refund?", thread=conversation)
        result = await one.run("Say it again.", thread=conversation)

        assert [(c.marker, c.file_name) for c in result.citations] == [
            ("【1:0†source】", "leave.md"),
            ("【5:0†source】", "refund.md"),
        ]
        restored = Conversation(conversation.messages)  # as from a disk: what was found is not known any more
        model.add(text("28【1:0†source】"), search("leave"), text("28【12:0†source】"))
        again = await one.run("Again.", thread=restored)
        assert [(c.file_id, c.file_name) for c in again.citations] == [(result.citations[0].file_id, "")]


async def test_later_runs_read_which_passages_there_were_and_not_their_texts() -> None:
    model = ScriptedModel(search("leave"), text("28【1:0†source】"), text("Yes."))
    conversation = Conversation()
    agent = Agent(model=model, tools=[FileSearch(("leave.md", LEAVE))])
    first = await agent.run("Leave?", thread=conversation)
    await agent.run("Sure?", thread=conversation)

    assert LEAVE in first.messages[1].text
    before = [message.text for message in model.requests[-1].messages]
    assert not any(LEAVE in words for words in before)
    assert any("【1:0†source】 leave.md" in words for words in before)


async def test_a_run_that_waited_for_its_caller_goes_on_with_its_markers() -> None:
    remote = FunctionTool("remote", "Ask the caller.", {"type": "object", "properties": {}})
    model = ScriptedModel(search("leave") + call("remote"), search("refund"), text("28【1:0†source】 14【1:1†source】"))
    agent = Agent(model=model, tools=[FileSearch(("leave.md", LEAVE), ("refund.md", REFUND)), remote])
    waiting = await agent.run("Go", thread=(conversation := Conversation()))
    result = await agent.resume(waiting, {call.id: "Yes" for call in waiting.pending})

    assert [citation.file_name for citation in result.citations] == ["leave.md", "refund.md"]
    assert len(result.searches) == 2
    assert len(conversation.searches) == 2


async def test_a_bad_file_costs_only_itself_and_is_told(tmp_path: Path) -> None:
    folder = write(
        tmp_path, {"leave.md": LEAVE, "broken.pdf": b"%PDF-1.7 rubbish", "picture.png": b"\x89PNG\r\n\x1a\n"}
    )
    (folder / "outside.md").symlink_to(sys.executable)
    model = asks("leave")
    files = FileSearch(folder)
    result = await Agent(model=model, tools=[files]).run("Leave?")

    assert result.status == "completed"
    assert names(files) == ["leave.md"]
    reasons = {failure.name: failure.reason for failure in files.failures}
    assert reasons.keys() == {"broken.pdf", "picture.png", "outside.md"}
    assert "damaged" in reasons["broken.pdf"]
    assert "leads out of the folder" in reasons["outside.md"]
    assert "broken.pdf could not be read: The PDF is damaged" in read_last(model)
    assert LEAVE in read_last(model)


async def test_a_filter_lets_in_files_by_what_they_are(tmp_path: Path) -> None:
    folder = write(tmp_path / "book", {"2023/leave.md": LEAVE, "2024/leave.md": LEAVE})
    files = FileSearch(
        folder,
        attributes=lambda name: {"year": int(name.split("/")[0])},
        filter={"type": "gte", "key": "year", "value": 2024},
    )
    told = shown(await events_of(Agent(model=asks("leave"), tools=[files]), "Go"))

    assert [hit.file_name for hit in told.hits] == ["2024/leave.md"]
    none = {"type": "eq", "key": "path", "value": "book/2023/leave.md"}
    assert not await files.search("leave", filter=none)
    assert not await files.search("leave", score_threshold=0.99)
    with pytest.raises(InvalidRequestError, match="limit must be between 1 and 50"):
        await files.search("leave", limit=0)


def test_one_object_serves_several_event_loops_one_after_the_other(tmp_path: Path) -> None:
    files = FileSearch(write(tmp_path, {"leave.md": LEAVE}))
    for _ in range(2):
        result = asyncio.run(Agent(model="demo", tools=[files]).run("How many days of leave do I have?"))
        assert "28 days" in result.text
        assert [citation.file_name for citation in result.citations] == ["leave.md"]
    assert len(asyncio.run(files.search("leave"))) == 1


async def test_two_event_loops_at_once_are_refused() -> None:
    async with FileSearch(("leave.md", LEAVE)) as files:
        with pytest.raises(UnavailableError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(files.search("leave")))
        assert await files.search("leave")


async def test_runs_at_once_share_one_index() -> None:
    files = FileSearch(("leave.md", LEAVE))
    agents = [Agent(model=asks("leave", answer="28【1:0†source】"), tools=[files]) for _ in range(4)]
    results = await asyncio.gather(*(agent.run("Leave?") for agent in agents))

    assert {citation.file_id for result in results for citation in result.citations} == set(files.files)


async def test_leaving_a_run_early_closes_what_it_opened() -> None:
    files = FileSearch(("leave.md", LEAVE))
    async with Agent(model=asks("leave"), tools=[files]).stream("Go") as run:
        async for _ in run:
            break
    assert await files.search("leave")  # else the file would be locked


async def test_stopping_while_files_are_read_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"{n}.md": f"{LEAVE} {n}" for n in range(200)})
    files = FileSearch(folder)
    reading = asyncio.ensure_future(files.search("leave"))
    await asyncio.sleep(0.3)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert len(await files.search("leave", limit=50)) == 50
    assert len(files.files) == 200


async def test_without_any_hit_the_model_is_told_so() -> None:
    model = asks("penguins")
    await Agent(model=model, tools=[FileSearch(("leave.md", LEAVE))]).run("Penguins?")

    assert read_last(model) == "Nothing was found for: “penguins”."


async def test_on_a_stored_thread_the_runtimes_vector_stores_are_searched(open_world: Open, tmp_path: Path) -> None:
    async with open_librarian(open_world, tmp_path) as librarian:
        store_id = await librarian.store(leave=LEAVE)
        runtime = librarian.world.runtime
        model = asks("leave", answer="28【1:0†source】")
        agent = Agent(name="desk", model=model, tools=[FileSearch(store=store_id, max_num_results=3)])
        result = await agent.run("Leave?", thread=await runtime.new_thread())

        assert [(c.file_name, c.marker) for c in result.citations] == [("leave.txt", "【1:0†source】")]
        with pytest.raises(InvalidRequestError, match="for agents on threads of a Runtime"):
            await agent.run("Leave?")
        for wrong, error in (
            (FileSearch("x"), InvalidRequestError),
            (FileSearch(store="nope"), InvalidRequestError),
            (FileSearch(store="vs_nope"), NotFoundError),
        ):
            with pytest.raises(error):
                await Agent(name="wrong", model=model, tools=[wrong]).run("Go", thread=await runtime.new_thread())


async def test_a_store_of_agents_toml_is_found_by_its_name(open_world: Open, tmp_path: Path) -> None:
    write(tmp_path / "book", {"leave.md": LEAVE})
    extra = '[vector_stores.handbook]\nfolders = ["book"]\n'
    async with open_librarian(open_world, tmp_path, extra=extra) as librarian:
        runtime = librarian.world.runtime
        agent = Agent(name="desk", model=ScriptedModel(text("Hello.")), tools=[FileSearch(store="handbook")])
        result = await agent.run("Hi", thread=await runtime.new_thread())

    assert result.run.spec.tool_resources == {
        "file_search": {"vector_store_ids": [runtime.config.vector_stores["handbook"].id]}
    }


async def test_passages_overlap_by_half_and_what_is_wrong_with_them_is_said_in_the_words_of_the_caller() -> None:
    assert FileSearch("a", chunk_tokens=300).overlap_tokens == 150
    with pytest.raises(InvalidRequestError, match=r"^chunk_tokens must be between"):
        FileSearch("a", chunk_tokens=5)
    with pytest.raises(InvalidRequestError, match=r"^overlap_tokens must .* half of chunk_tokens"):
        FileSearch("a", chunk_tokens=200, overlap_tokens=150)


async def test_a_source_that_is_not_there_is_named_to_whoever_gave_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"There is no file or folder .*nope for file_search"):
        await Agent(model=ScriptedModel(text("Never.")), tools=[FileSearch(tmp_path / "nope")]).run("Go")


async def test_an_embedding_model_that_nobody_knows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelNotFoundError, match="give FileSearch an Embedder"):
        await FileSearch(("leave.md", LEAVE), embedding="some-embedder").search("leave")


@pytest.mark.parametrize(
    "make",
    [
        lambda: FileSearch(),
        lambda: FileSearch("a", store="b"),
        lambda: FileSearch(store="b", path="c"),
        lambda: FileSearch(store="b", chunk_tokens=200, overlap_tokens=50),
        lambda: FileSearch(store="b", config="agents.toml"),
        lambda: FileSearch("a", max_num_results=51),
        lambda: FileSearch("a", score_threshold=2),
        lambda: FileSearch("a", chunk_tokens=10),
        lambda: FileSearch("a", filter={"type": "like", "key": "x", "value": 1}),
        lambda: FileSearch(("a.md", "1"), ("a.md", "2")),
        lambda: FileSearch(5),  # type: ignore[arg-type]
    ],
)
def test_options_that_cannot_be_are_refused_at_once(make: Callable[[], FileSearch]) -> None:
    with pytest.raises(InvalidRequestError):
        make()


@pytest.mark.parametrize("query", ["", " \n", [], ["leave", ""]])
async def test_a_search_for_nothing_is_refused_as_by_the_server(query: str | list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="white space"):
        await FileSearch(("leave.md", LEAVE)).search(query)


def test_an_agent_has_one_at_most() -> None:
    with pytest.raises(ToolDefinitionError, match="one FileSearch at most"):
        Agent(tools=[FileSearch("a"), FileSearch("b")])
    with pytest.raises(ToolDefinitionError, match=r"write tools=\[FileSearch\("):
        Agent(tools=[FileSearch])


def test_an_agent_without_one_does_not_pay_for_it() -> None:
    code = "import sys, agentrt; agentrt.Agent; agentrt.FileSearch('a'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {name for name in loaded if name.startswith(("agentrt.store", "agentrt.runtime.vector_stores"))}
    assert not {"sqlmodel", "sqlalchemy", "pydantic", "numpy"}.intersection(loaded)
