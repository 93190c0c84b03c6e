"""The async client: streams, polling, pages, many runs at once."""

from __future__ import annotations

import asyncio

from openai import AsyncAssistantEventHandler, AsyncOpenAI
from openai.types.beta.threads import Run, Text, TextDelta
from typing_extensions import override

from tests.compat.sdk.scenario import GET_RAIN, GET_WEATHER, async_scenario, outputs_for, value_of


class Ear(AsyncAssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.done: list[str] = []

    @override
    async def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.text += delta.value or ""
        assert snapshot.value == self.text

    @override
    async def on_text_done(self, text: Text) -> None:
        self.done.append(text.value)


@async_scenario
async def an_async_handler_follows_calls_to_the_answer(client: AsyncOpenAI) -> None:
    assistant = await client.beta.assistants.create(
        model="puppet", instructions="play: two_calls", tools=[GET_WEATHER, GET_RAIN]
    )
    async with client.beta.threads.create_and_run_stream(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Weather?"}]}
    ) as stream:
        await stream.until_done()
        run = await stream.get_final_run()
    ear = Ear()
    async with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs_for(run), event_handler=ear
    ) as stream:
        await stream.until_done()
    assert ear.text == "It is 4 °C, and it may rain."
    assert ear.done == [ear.text]


@async_scenario
async def many_runs_go_at_once(client: AsyncOpenAI) -> None:
    assistant = await client.beta.assistants.create(model="puppet", instructions="play: hello")

    async def one(n: int) -> Run:
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": str(n)}])
        run = await client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        said = [value_of(m) async for m in client.beta.threads.messages.list(thread.id, order="asc")]
        assert said == [str(n), "Hello there, how are you?"]
        return run

    runs = await asyncio.gather(*(one(n) for n in range(20)))
    assert {run.status for run in runs} == {"completed"}


@async_scenario
async def pages_are_iterated(client: AsyncOpenAI) -> None:
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(12)])
    listed = [value_of(message) async for message in client.beta.threads.messages.list(thread.id, limit=5)]
    assert listed == [str(n) for n in reversed(range(12))]


@async_scenario
async def only_one_of_many_runs_gets_the_thread(client: AsyncOpenAI) -> None:
    assistant = await client.beta.assistants.create(model="puppet", instructions="play: one_call", tools=[GET_WEATHER])
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Weather?"}])
    results = await asyncio.gather(
        *(client.beta.threads.runs.create(thread.id, assistant_id=assistant.id) for _ in range(8)),
        return_exceptions=True,
    )
    runs = [result for result in results if isinstance(result, Run)]
    assert len(runs) == 1, results
    assert all("already has an active run" in str(r) for r in results if not isinstance(r, Run)), results
