"""Calls of hosted tools in a run, with a tool that plays what the test wrote: order, endings, crashes, what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt.engine import events as ev
from agentrt.engine.message import CodeShown, FilePath, Image, ImageFilePart, Logs, Role, TextPart, Usage
from agentrt.engine.run import Run
from agentrt.engine.spec import CodeInterpreterTool, FunctionTool, ToolChoice, ToolSpec
from agentrt.models.client import CallChunk, Chunk, EndChunk, ModelRequest, TextChunk
from agentrt.server.render.assistants_stream import StreamRenderer
from agentrt.server.render.run_steps import render_step
from agentrt.store.database import Tx
from agentrt.store.pages import PageQuery
from agentrt.store.run_events import NumberedEvent, read_events
from agentrt.store.run_steps import RunStep, list_steps
from agentrt.testing.scripts import Answer, ScriptedModel, call, raw_call, text
from agentrt.toolkit.tool import tool
from tests.runtime.conftest import REMOTE, World, local, local_spec
from tests.runtime.fake_hosted import LINK, FakeCode
from tests.runtime.test_runs import crash_image

Open = Callable[..., AbstractAsyncContextManager[World]]
TOOLS: tuple[ToolSpec, ...] = (CodeInterpreterTool(), local_spec(), REMOTE)


def code(source: str) -> Answer:
    return call("code_interpreter", code=source)


def kinds(events: list[ev.Event]) -> list[str]:
    """Their names, repetitions left out."""
    found = [type(event).__name__ for event in events]
    return [name for i, name in enumerate(found) if i == 0 or found[i - 1] != name]


async def stored_steps(world: World, run: Run) -> list[RunStep]:
    page = await world.runtime.store.read(
        lambda tx: list_steps(tx, world.project, run.spec.id, PageQuery(limit=100, order="asc"))
    )
    return page.items


async def test_what_code_shows_is_told_as_it_comes_and_kept_in_the_step(open_world: Open) -> None:
    hold = asyncio.Event()
    tool = FakeCode(["one\n", "two\n", hold, Image("file-1"), "three"])
    async with open_world(ScriptedModel(code("go()"), text("Done.")), hosted={"code_interpreter": tool}) as world:
        run = await world.run(await world.thread("Go"), tools=TOOLS)
        seen: list[ev.Event] = []
        async for burst in world.runtime.runs.follow(run.spec.id):
            seen += [numbered.event for numbered in burst]
            if any(isinstance(event, ev.CallOutput) for event in seen):
                hold.set()  # it was told while the code still ran

        outputs = [(e.index, e.position, e.output) for e in seen if isinstance(e, ev.CallOutput)]
        assert outputs == [
            (0, 0, Logs("one\n")),
            (0, 0, Logs("two\n")),
            (0, 1, Image("file-1")),
            (0, 2, Logs("three")),
        ]
        assert kinds(seen)[3:10] == [
            "StepCreated", "StepStarted", "CallDelta", "TurnFinished", "CallStarted", "CallOutput", "CallReturned",
        ]  # fmt: skip
        assert tool.codes == ["go()"]
        assert world.seen()[-1] == "tool: one\ntwo\nthree"
        details = render_step((await stored_steps(world, run))[0])["step_details"]
        assert details == {
            "type": "tool_calls",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "code_interpreter",
                    "code_interpreter": {
                        "input": "go()",
                        "outputs": [
                            {"type": "logs", "logs": "one\ntwo\n"},
                            {"type": "image", "image": {"file_id": "file-1"}},
                            {"type": "logs", "logs": "three"},
                        ],
                    },
                    "agentrt": {"wall_ms": 5.0, "cpu_ms": 4.0, "max_rss_bytes": 0},
                }
            ],
        }


async def test_the_next_message_begins_with_the_images_and_carries_the_annotations(open_world: Open) -> None:
    tool = FakeCode([Image("file-1")], [Image("file-2"), "x"])
    model = ScriptedModel(code("1"), code("2"), text(f"Here: {LINK}, both."))
    async with open_world(model, hosted={"code_interpreter": tool}) as world:
        thread = await world.thread("Plot")
        run = await world.run(thread, tools=TOOLS)
        events = await world.events(run)

        annotation = FilePath(LINK, 6, 6 + len(LINK), "file-out")
        completed = next(e for e in events if isinstance(e, ev.MessageCompleted))
        assert completed.parts == (
            ImageFilePart("file-1"),
            ImageFilePart("file-2"),
            TextPart(f"Here: {LINK}, both.", (annotation,)),
        )
        assert [(e.part, e.file_id) for e in events if isinstance(e, ev.ImageShown)] == [(0, "file-1"), (1, "file-2")]
        assert {e.part for e in events if isinstance(e, ev.TextDelta)} == {2}
        assert [(e.part, e.index, e.annotation) for e in events if isinstance(e, ev.Annotated)] == [(2, 0, annotation)]
        # What was shown is shown once: not in the next run's message.
        world.model.add(text("Nothing new."))
        later = await world.events(await world.run(thread, "More?", tools=TOOLS))
        assert not [e for e in later if isinstance(e, ev.ImageShown)]
        assert world.seen()[-2:] == [f"assistant: [image file-1][image file-2]Here: {LINK}, both.", "user: More?"]


async def test_code_runs_beside_functions_and_in_the_order_of_its_calls(open_world: Open) -> None:
    first, tool_began = asyncio.Event(), asyncio.Event()

    @tool(name="local")
    async def patient(q: str = "") -> str:
        """Waits until code runs, which waits for it."""
        tool_began.set()
        await first.wait()
        return "local"

    fake = FakeCode(["a", tool_began, "b"], ["c"])
    model = ScriptedModel(code("1") + call("local") + code("2") + call("remote"), text("All."))
    async with open_world(model, tools=(patient,), hosted={"code_interpreter": fake}) as world:
        run = await world.run(await world.thread("Go"), tools=TOOLS)
        seen: list[ev.Event] = []
        async for burst in world.runtime.runs.follow(run.spec.id):
            seen += [numbered.event for numbered in burst]
            if sum(isinstance(event, ev.CallReturned) for event in seen) == 2:
                first.set()

        assert fake.codes == ["1", "2"]
        assert [e.index for e in seen if isinstance(e, ev.CallReturned)] == [0, 2, 1]
        run = await world.look(run)
        assert [c.id for c in run.pending_calls] == ["call_4"]  # the caller's own, when ours are done
        await world.runtime.runs.submit(world.project, run.spec.thread_id, run.spec.id, [("call_4", "theirs")])
        await world.until(run, "completed")
        assert world.seen()[-4:] == ["tool: ab", "tool: local", "tool: c", "tool: theirs"]


@pytest.mark.parametrize("n_calls", [1, 2])
async def test_cancelling_stops_the_code_and_keeps_what_it_said_in_the_stream(open_world: Open, n_calls: int) -> None:
    fake = FakeCode(["so far", asyncio.Event()], [])
    answer = code("while True: pass")
    for _ in range(n_calls - 1):
        answer += call("local")
    async with open_world(ScriptedModel(answer, text("Again.")), hosted={"code_interpreter": fake}) as world:
        thread = await world.thread("Go")
        run = await world.run(thread, tools=TOOLS)
        seen: list[ev.Event] = []
        async for burst in world.runtime.runs.follow(run.spec.id):
            seen += [numbered.event for numbered in burst]
            if any(isinstance(numbered.event, ev.CallOutput) for numbered in burst):
                await world.runtime.runs.cancel(world.project, thread, run.spec.id)

        assert kinds(seen)[-3:] == ["CancelRequested", "StepCancelled", "RunCancelled"]
        assert fake.n_stopped == 1
        # The thread goes on, and a model that comes later reads that the call has no known end.
        await world.rest(await world.run(thread, "Once more", tools=TOOLS))
        assert "tool: interrupted, outcome unknown" in world.seen()


async def test_code_that_a_crash_cut_off_is_not_run_again(open_world: Open, tmp_path: Path) -> None:
    fake = FakeCode(["begun", asyncio.Event()])
    async with open_world(ScriptedModel(code("rm()")), hosted={"code_interpreter": fake}) as world:
        run = await world.run(await world.thread("Go"), tools=TOOLS)
        async for burst in world.runtime.runs.follow(run.spec.id):
            if any(isinstance(numbered.event, ev.CallOutput) for numbered in burst):
                break
        await until_stored(world, run, ev.CallOutput)
        crash_image(tmp_path, tmp_path / "after")
        await world.runtime.runs.cancel(world.project, run.spec.thread_id, run.spec.id)

    after = FakeCode()
    async with open_world(
        ScriptedModel(text("Well.")), folder=tmp_path / "after", hosted={"code_interpreter": after}
    ) as world:
        events = await world.events(run)

        assert (await world.look(run)).status == "completed"
        assert after.codes == []
        assert "tool: interrupted, outcome unknown" in world.seen()
        returned = next(e for e in events if isinstance(e, ev.CallReturned))
        assert returned.result.error == "interrupted"
        assert returned.result.shown == CodeShown(outputs=(Logs("begun"),)), "what was shown stays"


async def test_images_of_an_answer_that_a_crash_cut_off_come_with_the_next_attempt(
    open_world: Open, tmp_path: Path
) -> None:
    model = ScriptedModel(code("plot()"), text("Look at th", pause=asyncio.Event()))
    async with open_world(model, hosted={"code_interpreter": FakeCode([Image("file-1")])}) as world:
        run = await world.run(await world.thread("Go"), tools=TOOLS)
        async for burst in world.runtime.runs.follow(run.spec.id):
            if any(isinstance(numbered.event, ev.TextDelta) for numbered in burst):
                break
        await until_stored(world, run, ev.TextDelta)
        crash_image(tmp_path, tmp_path / "after")
        await world.runtime.runs.cancel(world.project, run.spec.thread_id, run.spec.id)

    async with open_world(
        ScriptedModel(text("Look at this.")), folder=tmp_path / "after", hosted={"code_interpreter": FakeCode()}
    ) as world:
        events = await world.events(run)

        assert [e.file_id for e in events if isinstance(e, ev.ImageShown)] == ["file-1", "file-1"]
        completed = next(e for e in events if isinstance(e, ev.MessageCompleted))
        assert completed.parts == (ImageFilePart("file-1"), TextPart("Look at this."))


async def until_stored(world: World, run: Run, kind: type[ev.Event]) -> None:
    """What waits is on the disk before the copy is made."""

    def is_there(tx: Tx) -> bool:
        return any(isinstance(numbered.event, kind) for numbered in read_events(tx, run.spec.id))

    async with asyncio.timeout(20):
        while not await world.runtime.store.read(is_there):
            await asyncio.sleep(0.01)


async def test_words_after_the_calls_become_a_message_that_shows_the_images(open_world: Open) -> None:
    class Late(ScriptedModel):
        """Says its words after its calls, as some servers do."""

        async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
            if self.requests:
                async for chunk in super().stream(request):
                    yield chunk
                return
            self.requests.append(request)
            yield CallChunk(0, "call_1", "code_interpreter", '{"code": "plot()"}')
            yield TextChunk(f"I drew it: {LINK}")
            yield EndChunk("tool_calls", Usage(10, 5))

    fake = FakeCode([Image("file-1"), "drawn"])
    async with open_world(Late(text("That was it.")), hosted={"code_interpreter": fake}) as world:
        events = await world.events(await world.run(await world.thread("Go"), tools=TOOLS))

        said = [event.parts for event in events if isinstance(event, ev.MessageCompleted)]
        annotation = FilePath(LINK, 11, 11 + len(LINK), "file-out")
        assert said == [
            (ImageFilePart("file-1"), TextPart(f"I drew it: {LINK}", (annotation,))),
            (TextPart("That was it."),),
        ]
        assert [(e.part, e.index) for e in events if isinstance(e, ev.Annotated)] == [(1, 0)]


async def test_a_stream_resumed_from_any_place_says_the_same(open_world: Open) -> None:
    fake = FakeCode(["one\n", Image("file-1"), "two"])
    model = ScriptedModel(code("1"), text(f"See {LINK}"))
    async with open_world(model, hosted={"code_interpreter": fake}) as world:
        run = await world.run(await world.thread("Go"), tools=TOOLS)
        numbered = [n async for burst in world.runtime.runs.follow(run.spec.id) for n in burst]

        whole = rendered(numbered, 0)
        assert len(whole) > 15
        for i in range(1, len(numbered)):
            later = rendered(numbered, i)
            assert later == whole[len(whole) - len(later) :]
        # What is stored is what was told live.
        again = [n async for burst in world.runtime.runs.follow(run.spec.id) for n in burst]
        assert again == numbered


def rendered(events: list[NumberedEvent], start: int) -> list[object]:
    renderer = StreamRenderer()
    renderer.pass_over(numbered.event for numbered in events[:start])
    return [shown for numbered in events[start:] if (shown := renderer.render(numbered.event)) is not None]


async def test_a_callers_function_of_a_hosted_tools_name_is_the_callers(open_world: Open) -> None:
    fake = FakeCode()
    theirs = FunctionTool("code_interpreter", "Mine.", {"type": "object", "properties": {}})
    model = ScriptedModel(code("1"), text("Ok."))
    async with open_world(model, hosted={"code_interpreter": fake}) as world:
        run = await world.rest(await world.run(await world.thread("Go"), tools=(CodeInterpreterTool(), theirs)))

        assert run.status == "requires_action"
        assert (fake.n_offered, fake.codes) == (0, [])
        assert model.requests[0].tools == (theirs,)


async def test_a_servers_function_of_a_hosted_tools_name_goes_before_it(open_world: Open) -> None:
    @tool(name="code_interpreter")
    async def ours(code: str) -> str:
        """Runs it elsewhere."""
        return f"elsewhere: {code}"

    fake = FakeCode()
    model = ScriptedModel(code("1"), text("Ok."))
    async with open_world(model, tools=(ours, local), hosted={"code_interpreter": fake}) as world:
        await world.rest(await world.run(await world.thread("Go"), tools=(CodeInterpreterTool(), ours.spec())))

        assert fake.codes == []
        assert world.seen()[-1] == "tool: elsewhere: 1"


@pytest.mark.parametrize("arguments", ["print(1)", '{"code": "print(1)"', "```python\nprint(1)\n```"])
async def test_whatever_a_model_writes_reaches_the_tool(open_world: Open, arguments: str) -> None:
    fake = FakeCode(["1"])
    model = ScriptedModel(raw_call("code_interpreter", arguments), text("Ok."))
    async with open_world(model, hosted={"code_interpreter": fake}) as world:
        run = await world.rest(await world.run(await world.thread("Go"), tools=TOOLS))

        assert run.status == "completed"
        assert "print(1)" in fake.codes[0]


async def test_a_forced_choice_calls_it_and_binds_the_first_call_only(open_world: Open) -> None:
    fake = FakeCode(["1"])
    model = ScriptedModel(code("1"), text("Ok."))
    async with open_world(model, hosted={"code_interpreter": fake}) as world:
        choice = ToolChoice("code_interpreter")
        await world.rest(await world.run(await world.thread("Go"), tools=TOOLS, tool_choice=choice))

        choices = [(request.tool_choice.mode, request.tool_choice.name) for request in model.requests]
        assert choices == [("function", "code_interpreter"), ("auto", None)]
        assert fake.n_offered == 1


async def test_a_run_that_does_not_have_the_tool_cannot_call_it(open_world: Open) -> None:
    fake = FakeCode(["1"])
    model = ScriptedModel(code("1"), text("Ok."))
    async with open_world(model, hosted={"code_interpreter": fake}) as world:
        await world.rest(await world.run(await world.thread("Go")))

        assert (fake.n_offered, fake.codes) == (0, [])
        assert "There is no tool named 'code_interpreter'" in world.seen()[-1]


async def test_images_of_tools_are_named_to_a_later_model_as_text(open_world: Open) -> None:
    model = ScriptedModel(code("1"), text("See."), text("As I said."))
    async with open_world(model, hosted={"code_interpreter": FakeCode([Image("file-1")])}) as world:
        thread = await world.thread("Go")
        await world.rest(await world.run(thread, tools=TOOLS))
        await world.rest(await world.run(thread, "Again?", tools=TOOLS))

        shown = [message for message in model.requests[-1].messages if message.role is Role.ASSISTANT]
        assert shown[0].tool_calls[0].name == "code_interpreter"
        assert shown[1].parts == (TextPart("[image file-1]"), TextPart("See."))
