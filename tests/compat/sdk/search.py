"""file_search through the SDK: files go in, answers come out that cite them, streamed and polled."""

from __future__ import annotations

from typing import Any

from openai import AssistantEventHandler, OpenAI
from openai.types.beta import Assistant
from openai.types.beta.threads import Message, TextDelta
from openai.types.beta.threads.runs import FileSearchToolCall, RunStep, ToolCall
from openai.types.beta.threads.runs.file_search_tool_call import FileSearchResult
from typing_extensions import override

from tests.compat.sdk.code import upload
from tests.compat.sdk.scenario import scenario

CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"
REFUNDS = b"# Handbook\n\nRefunds are paid within thirty days after the goods are back.\n"
PARKING = b"Bicycles are parked behind the house.\n"


class SearchEar(AssistantEventHandler):
    """Hears a search and an answer that cites."""

    def __init__(self) -> None:
        super().__init__()
        self.created: list[str] = []
        self.annotations: list[Any] = []
        self.deltas: list[str] = []
        self.steps: list[RunStep] = []

    @override
    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        self.created.append(tool_call.type)

    @override
    def on_text_delta(self, delta: TextDelta, snapshot: Any) -> None:
        self.deltas.append(delta.value or "")
        self.annotations += delta.annotations or []

    @override
    def on_run_step_done(self, run_step: RunStep) -> None:
        self.steps.append(run_step)


def searcher(client: OpenAI, **given: Any) -> Assistant:
    given.setdefault("tools", [{"type": "file_search"}])
    return client.beta.assistants.create(model="puppet", instructions="play: search", **given)


def store_of(*file_ids: str) -> Any:
    return {"file_search": {"vector_stores": [{"file_ids": [*file_ids]}]}}


def cited(message: Message) -> list[str]:
    """The ids of the files that an answer cites; that the offsets are true is seen to here."""
    (part,) = message.content
    assert part.type == "text"
    assert "【9:9†source】" in part.text.value
    found = []
    for note in part.text.annotations:
        assert note.type == "file_citation"
        assert part.text.value[note.start_index : note.end_index] == note.text
        assert note.text.startswith("【")
        assert note.text.endswith("†source】")
        found.append(note.file_citation.file_id)
    return found


def results_of(step: RunStep) -> list[FileSearchResult]:
    assert step.step_details.type == "tool_calls"
    (call,) = step.step_details.tool_calls
    assert isinstance(call, FileSearchToolCall)
    assert call.file_search.ranking_options is not None
    assert call.file_search.results is not None
    return call.file_search.results


@scenario
def a_cited_answer_is_streamed(client: OpenAI) -> None:
    files = [upload(client, "handbook.md", REFUNDS), upload(client, "parking.txt", PARKING)]
    attachments = [{"file_id": file_id, "tools": [{"type": "file_search"}]} for file_id in files]
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "Well?", "attachments": attachments}]  # type: ignore[typeddict-item]
    )
    ear = SearchEar()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=searcher(client).id, include=[CONTENT], event_handler=ear
    ) as stream:
        stream.until_done()
        (message,) = stream.get_final_messages()

    assert ear.created == ["file_search"]
    assert sorted(cited(message)) == sorted(files)
    told = [(note.text, note.start_index, note.end_index) for note in ear.annotations]
    kept = message.content[0].text.annotations  # type: ignore[union-attr]
    assert told == [(note.text, note.start_index, note.end_index) for note in kept]
    assert all(piece.count("【") == piece.count("】") for piece in ear.deltas)
    assert client.beta.threads.messages.retrieve(message.id, thread_id=thread.id) == message
    step = ear.steps[0]
    texts = {result.file_name: (result.content or [])[0].text for result in results_of(step)}
    assert texts == {"handbook.md": REFUNDS.decode().strip(), "parking.txt": PARKING.decode().strip()}
    where: Any = {"thread_id": thread.id, "run_id": step.run_id}
    assert client.beta.threads.runs.steps.retrieve(step.id, include=[CONTENT], **where) == step
    bare = client.beta.threads.runs.steps.retrieve(step.id, **where)
    assert [result.content for result in results_of(bare)] == [None, None]
    (call,) = step.step_details.tool_calls  # type: ignore[union-attr]
    assert call.model_extra is not None
    account = call.model_extra["agentrt"]
    assert account["queries"] == ["refunds after thirty days", "bicycles"]
    assert [candidate["outcome"] for candidate in account["candidates"]] == ["kept", "kept"]


@scenario
def the_stores_of_assistant_and_thread_are_searched_together(client: OpenAI) -> None:
    theirs, own = upload(client, "handbook.md", REFUNDS), upload(client, "parking.txt", PARKING)
    options = {"max_num_results": 2, "ranking_options": {"ranker": "default_2024_08_21", "score_threshold": 0.01}}
    assistant = searcher(
        client, tool_resources=store_of(theirs), tools=[{"type": "file_search", "file_search": options}]
    )
    (store_id,) = assistant.tool_resources.file_search.vector_store_ids or []  # type: ignore[union-attr]
    assert store_id.startswith("vs_")
    # A run waits for the files of its thread, not for those of its assistant.
    thread = client.beta.threads.create(tool_resources=store_of(theirs))
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=searcher(client).id)
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Well?"}], "tool_resources": store_of(own)},
    )
    assert run.status == "completed"
    (message,) = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    assert sorted(cited(message)) == sorted([theirs, own])
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc", include=[CONTENT]).data
    results = results_of(steps[0])
    assert sorted(result.file_id for result in results) == sorted([theirs, own])
    assert all(0 < result.score <= 1 and result.content for result in results)
    (call,) = steps[0].step_details.tool_calls  # type: ignore[union-attr]
    assert isinstance(call, FileSearchToolCall)
    ranking = call.file_search.ranking_options
    assert ranking is not None
    assert (ranking.ranker, ranking.score_threshold) == ("default_2024_08_21", 0.01)


@scenario
def a_search_without_files_says_so_and_the_run_goes_on(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=searcher(client).id)
    assert run.status == "completed"
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc").data
    assert results_of(steps[0]) == []
    (message,) = client.beta.threads.messages.list(thread.id, run_id=run.id).data
    assert cited(message) == []
