"""Runs as event streams: new ones, submitted ones, and resumed ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.engine.events import TERMINAL_EVENTS, Event
from agentrt.engine.run import Run
from agentrt.errors import UnavailableError
from agentrt.runtime.assembly import Runtime
from agentrt.server.endpoint import ApiRoute, Call, Speech, speaks
from agentrt.server.pages import INCLUDE, query_parameter
from agentrt.server.render.assistants_stream import StreamRenderer
from agentrt.server.sse import EventStream, frame
from agentrt.store.run_events import read_events
from agentrt.store.runs import find_run, load_run
from agentrt.wire.pages import read_filter, read_place, wants_search_content

router = APIRouter(prefix="/v1/threads", tags=["Runs"], route_class=ApiRoute)

_STARTING_AFTER = query_parameter(
    "starting_after",
    {"type": "string", "pattern": r"^\d{1,15}\.\d{1,15}$"},
    "The id of the last event that arrived; the header Last-Event-ID says the same and counts more.",
)


@router.get("/{thread_id}/runs/{run_id}/stream")
@speaks(Speech(answer="text/event-stream", query=(_STARTING_AFTER, INCLUDE)))
async def resume_stream(call: Call, thread_id: str, run_id: str) -> Response:
    """Follow a run: what was missed first, then live, to its end or to where it waits now. Not part of the original
    API."""
    after, with_content = _place(call), wants_search_content(call.query)
    row = await call.runtime.store.read(lambda tx: find_run(tx, call.project, thread_id, run_id))
    metadata = row.to_run().spec.metadata
    return stream_run(call, run_id, after=after, metadata=metadata, is_resumed=True, with_content=with_content)


def stream_run(
    call: Call,
    run_id: str,
    *,
    after: tuple[int, int] | None = None,
    metadata: dict[str, str] | None = None,
    is_resumed: bool = False,
    with_content: bool = False,
) -> Response:
    """A run's events after a place. metadata: the run's present one, None for a run that is just being created.

    with_content: with the texts that searches found.
    """
    renderer = StreamRenderer(metadata=metadata, with_content=with_content)
    bursts = _bursts(call.runtime, run_id, renderer, after=after, is_resumed=is_resumed)
    return EventStream(bursts, clock=call.runtime.clock)


async def _bursts(
    runtime: Runtime,
    run_id: str,
    renderer: StreamRenderer,
    *,
    after: tuple[int, int] | None,
    is_resumed: bool,
) -> AsyncGenerator[bytes, None]:
    if after is not None and not is_resumed:
        renderer.pass_over(await _events_up_to(runtime, run_id, after))
    # A resumed stream is read from its beginning: what stands before the place may be published and not stored yet.
    start = None if is_resumed else after
    async with aclosing(runtime.runs.follow(run_id, after=start, is_resumed=is_resumed)) as followed:
        async for burst in followed:
            frames = []
            for numbered in burst:
                place = (numbered.epoch, numbered.seq)
                if isinstance(numbered.event, TERMINAL_EVENTS) and not renderer.has_begun:  # the others are gone
                    ended = renderer.render_end(await _stored(runtime, run_id))
                    frames.append(frame(ended.name, ended.data, place=place))
                    continue
                if after is not None and place <= after:
                    renderer.pass_over((numbered.event,))
                    continue
                rendered = renderer.render(numbered.event)
                if rendered is not None:
                    frames.append(frame(rendered.name, rendered.data, place=place))
            yield b"".join(frames)


async def _stored(runtime: Runtime, run_id: str) -> Run:
    row = await runtime.store.read(lambda tx: load_run(tx, run_id))
    if row is None:
        raise UnavailableError("The run was deleted with its thread.")
    return row.to_run()


async def _events_up_to(runtime: Runtime, run_id: str, place: tuple[int, int]) -> list[Event]:
    stored = await runtime.store.read(lambda tx: read_events(tx, run_id))
    return [numbered.event for numbered in stored if (numbered.epoch, numbered.seq) <= place]


def _place(call: Call) -> tuple[int, int] | None:
    header = call.headers.get("last-event-id")
    name = "Last-Event-ID" if header else "starting_after"
    return read_place(header or read_filter(call.query, "starting_after"), name=name)
