"""The HTTP API in a few words, for tests that see what no SDK shows: streams event by event, broken connections."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias

import httpx

from tests.compat.deployment import KEY
from tests.compat.story import StreamEvent, read_stream

Json: TypeAlias = dict[str, Any]

TERMINAL = {"completed", "failed", "cancelled", "expired", "incomplete"}
_PATIENCE_S = 30


class Api:
    """Calls that expect a 200, unless `status` says another."""

    def __init__(self, url: str, *, key: str = KEY) -> None:
        headers = {"authorization": f"Bearer {key}", "openai-beta": "assistants=v2"}
        self.http = httpx.Client(base_url=f"{url}/v1", headers=headers, timeout=_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str, *, status: int = 200, **query: Any) -> Json:
        return _checked(self.http.get(path, params=query), status)

    def post(self, path: str, body: Json | None = None, *, status: int = 200) -> Json:
        return _checked(self.http.post(path, json={} if body is None else body), status)

    def delete(self, path: str, *, status: int = 200) -> Json:
        return _checked(self.http.delete(path), status)

    def actor(self, play: str, *functions: str, **fields: Any) -> str:
        """An assistant that follows a play; its id."""
        tools = [{"type": "function", "function": {"name": name}} for name in functions]
        body = {"model": "puppet", "instructions": f"play: {play}", "tools": tools}
        return str(self.post("/assistants", body | fields)["id"])

    def thread(self, *texts: str, **fields: Any) -> str:
        """A thread with user messages; its id."""
        return str(self.post("/threads", {"messages": [says(text) for text in texts]} | fields)["id"])

    def run(self, thread_id: str, assistant_id: str, *, status: int = 200, **fields: Any) -> Json:
        return self.post(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id} | fields, status=status)

    def find(self, run: Mapping[str, Any]) -> Json:
        """The run as it is now."""
        return self.get(f"/threads/{run['thread_id']}/runs/{run['id']}")

    def wait(self, run: Mapping[str, Any], *statuses: str) -> Json:
        """Wait until the run has one of the statuses, or else has ended."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            found = self.find(run)
            if found["status"] in (statuses or TERMINAL):
                return found
            assert found["status"] not in TERMINAL, found
            assert time.monotonic() < deadline, f"the run stays {found['status']}"
            time.sleep(0.02)

    def cancel(self, run: Mapping[str, Any]) -> Json:
        return self.post(f"/threads/{run['thread_id']}/runs/{run['id']}/cancel")

    def submit(self, run: Mapping[str, Any], output: str = "4 °C") -> Json:
        path = f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
        return self.post(path, {"tool_outputs": outputs_for(run, output)})

    def messages(self, thread_id: str) -> list[Json]:
        """All messages, oldest first."""
        found: list[Json] = self.get(f"/threads/{thread_id}/messages", order="asc", limit=100)["data"]
        return found

    def talk(self, thread_id: str) -> list[tuple[str, str]]:
        """Role and text of all messages, oldest first."""
        return [(message["role"], text_of_message(message)) for message in self.messages(thread_id)]

    def steps(self, run: Mapping[str, Any]) -> list[Json]:
        """The steps of a run, oldest first."""
        path = f"/threads/{run['thread_id']}/runs/{run['id']}/steps"
        found: list[Json] = self.get(path, order="asc", limit=100)["data"]
        return found

    @contextmanager
    def stream(self, path: str, body: Json) -> Iterator[Iterator[StreamEvent]]:
        """The events of a POST with `stream`, as they come; a server that hangs up ends them."""
        with self.http.stream("POST", path, json=body | {"stream": True}) as answer:
            assert answer.status_code == 200, answer.read()
            yield _events(answer)

    def stream_run(self, thread_id: str, assistant_id: str, **fields: Any) -> list[StreamEvent]:
        """A new run's whole stream."""
        body = {"assistant_id": assistant_id} | fields
        with self.stream(f"/threads/{thread_id}/runs", body) as events:
            return list(events)

    @contextmanager
    def following(self, run: Mapping[str, Any], after: str | None) -> Iterator[Iterator[StreamEvent]]:
        """The run's stream after the event of that id, as it comes; a server that hangs up ends it."""
        headers = {} if after is None else {"last-event-id": after}
        path = f"/threads/{run['thread_id']}/runs/{run['id']}/stream"
        with self.http.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            yield _events(answer)

    def resume(self, run: Mapping[str, Any], after: str | None = None) -> list[StreamEvent]:
        """The run's stream after the event of that id, to its end."""
        with self.following(run, after) as events:
            return list(events)


def says(text: str, role: str = "user") -> Json:
    return {"role": role, "content": text}


def outputs_for(run: Mapping[str, Any], output: str = "4 °C") -> list[Json]:
    """An output for each call that the run waits for."""
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    return [{"tool_call_id": call["id"], "output": output} for call in calls]


def text_of_message(message: Mapping[str, Any]) -> str:
    return "".join(part["text"]["value"] for part in message["content"] if part["type"] == "text")


def run_of(events: Iterator[StreamEvent]) -> Json:
    """Read on until the run is in progress; the run."""
    for event in events:
        if event.name == "thread.run.in_progress":
            found: Json = event.data
            return found
    raise AssertionError("the stream ended before the run began")


def _events(answer: httpx.Response) -> Iterator[StreamEvent]:
    block = b""
    try:
        for piece in answer.iter_raw():
            block += piece
            while (end := block.find(b"\n\n")) >= 0:
                yield from read_stream(block[: end + 2])
                block = block[end + 2 :]
    except httpx.TransportError:
        return


def _checked(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, f"{answer.request.method} {answer.request.url}: {answer.text}"
    found: Json = answer.json()
    return found
