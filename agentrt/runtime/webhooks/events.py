"""What webhooks say: engine events → event types and bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from agentrt.config.schema import WebhookEvent
from agentrt.engine import events as ev
from agentrt.engine.run import Run

TEST_EVENT: Final = "webhook.test"
"""Sent by hand only; every endpoint gets it, whatever it is told otherwise."""

_TYPES: Final[Mapping[type[ev.Event], WebhookEvent]] = {
    ev.ActionRequired: "run.requires_action",
    ev.RunCompleted: "run.completed",
    ev.RunIncomplete: "run.incomplete",
    ev.RunFailed: "run.failed",
    ev.RunCancelled: "run.cancelled",
    ev.RunExpired: "run.expired",
}


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says of a run: which one it is, and the one thing that changed.

    Not the run object. Events arrive late, twice and in any order, so that a receiver has to ask for the run as it is
    now before it acts, and asks with a key that may see it; texts, metadata and arguments of calls stay out of other
    people's logs; and a body of 300 bytes can keep its shape for years.
    """

    id: str
    object: Literal["thread.run"] = "thread.run"
    thread_id: str
    assistant_id: str
    status: str
    project: str


class EndpointFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a test event says: which endpoint was tested."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the shape of the platform's own (`response.completed`, `batch.completed`): official SDKs read it."""

    id: str
    object: Literal["event"] = "event"
    created_at: int
    type: str
    data: RunFacts | EndpointFacts


def event_type(event: ev.Event) -> WebhookEvent | None:
    """What webhooks call it; None for what they are not told."""
    return _TYPES.get(type(event))


def run_facts(run: Run, event: WebhookEvent, *, project: str) -> RunFacts:
    """The status is the one that the event tells of, even if the run has gone on since."""
    spec = run.spec
    return RunFacts(
        id=spec.id,
        thread_id=spec.thread_id,
        assistant_id=spec.assistant_id,
        status=event.removeprefix("run."),
        project=project,
    )


def encode_body(body: EventBody) -> str:
    """The bytes that are signed are the bytes that are sent: encoded once, kept as text."""
    return msgspec.json.encode(body).decode()
