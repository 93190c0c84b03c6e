"""Threads, messages and runs, made, asked for, cancelled and deleted in any order over HTTP: no 5xx, no status that
goes a forbidden way, one active run to a thread, and lists that agree with what was done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agentrt.engine.run import TRANSITIONS, RunStatus
from tests.compat.api import TERMINAL, Api, Json, outputs_for, says, text_of_message
from tests.compat.background import LoopThread
from tests.compat.deployment import Deployment
from tests.compat.wire_rules import complaints
from tests.compat.witness import Witness

N_EXAMPLES = int(os.environ.get("AGENTRT_FUZZ_EXAMPLES") or 12)  # noqa: TID251 - how long to look, set by `make fuzz`
N_STEPS = 25

PLAYS = {"hello": (), "endless": (), "one_call": ("get_weather",), "own_tool": ("add",), "hang_up": ()}
# Not drawn from what there is: that depends on how far runs have come, and hypothesis must be able to repeat a choice.
WHICH = st.integers(0, 9)
_GO_BETWEEN = {"in_progress", "requires_action", "cancelling"}


def _reachable() -> dict[str, set[str]]:
    """From each status, those that may be seen later: a poll does not see all."""
    found: dict[str, set[str]] = {}
    for status in RunStatus:
        rest, seen = [status], {status}
        while rest:
            for following in TRANSITIONS[rest.pop()] - seen:
                seen.add(following)
                rest.append(following)
        found[status.value] = {other.value for other in seen}
    return found


REACHABLE = _reachable()


@dataclass(eq=False)
class KnownThread:
    """What must be in a thread: the texts that were accepted, and the runs with the last status that was seen."""

    id: str
    texts: list[tuple[str, str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    is_deleted: bool = False


class Anything(RuleBasedStateMachine):
    api: ClassVar[Api]
    actors: ClassVar[dict[str, str]]
    threads = Bundle("threads")

    def __init__(self) -> None:
        super().__init__()
        self.known: list[KnownThread] = []
        self.n_texts = 0

    @rule(target=threads, n=st.integers(0, 3), policy=st.sampled_from([None, "enqueue", "interrupt"]))
    def create_thread(self, n: int, policy: str | None) -> KnownThread:
        texts = [self._text() for _ in range(n)]
        body: Json = {"messages": [says(text) for text in texts]}
        if policy is not None:
            body["agentrt"] = {"on_busy": policy}
        made = self.api.post("/threads", body)
        thread = KnownThread(made["id"])
        listed = self.api.messages(thread.id)
        thread.texts = [(message["id"], text) for message, text in zip(listed, texts, strict=True)]
        self.known.append(thread)
        return thread

    @rule(thread=threads, policy=st.sampled_from([None, "reject", "enqueue", "interrupt"]))
    def add_message(self, thread: KnownThread, policy: str | None) -> None:
        text = self._text()
        body = says(text) | ({} if policy is None else {"agentrt": {"on_busy": policy}})
        answer = self.api.http.post(f"/threads/{thread.id}/messages", json=body)
        if self._refused(thread, answer.status_code, answer.text):
            return
        thread.texts.append((answer.json()["id"], text))

    @rule(
        thread=threads,
        play=st.sampled_from(sorted(PLAYS)),
        policy=st.sampled_from([None, "reject", "enqueue", "interrupt"]),
        n=st.integers(0, 2),
    )
    def create_run(self, thread: KnownThread, play: str, policy: str | None, n: int) -> None:
        texts = [self._text() for _ in range(n)]
        body: Json = {"assistant_id": self.actors[play], "additional_messages": [says(text) for text in texts]}
        if policy is not None:
            body["agentrt"] = {"on_busy": policy}
        answer = self.api.http.post(f"/threads/{thread.id}/runs", json=body)
        if self._refused(thread, answer.status_code, answer.text):
            return
        run = answer.json()
        assert run["status"] == "queued"
        thread.runs.append(run["id"])
        thread.seen[run["id"]] = "queued"
        ids = {text_of_message(message): message["id"] for message in self._messages(thread)}
        thread.texts += [(ids[text], text) for text in texts]

    @rule(thread=threads, which=WHICH)
    def cancel_run(self, thread: KnownThread, which: int) -> None:
        if (run := self._pick(thread, which)) is None:
            return
        answer = self.api.http.post(f"/threads/{thread.id}/runs/{run['id']}/cancel")
        if self._refused(thread, answer.status_code, answer.text):
            assert thread.is_deleted or self._see(thread, run["id"])["status"] in TERMINAL
            return
        assert run["status"] not in TERMINAL
        assert answer.json()["status"] in ("cancelling", "cancelled")
        self._note(thread, answer.json())

    @rule(thread=threads, which=WHICH)
    def submit_outputs(self, thread: KnownThread, which: int) -> None:
        if (run := self._pick(thread, which)) is None:
            return
        is_waiting = run["status"] == "requires_action"
        outputs = outputs_for(run) if is_waiting else [{"tool_call_id": "call_x", "output": ""}]
        path = f"/threads/{thread.id}/runs/{run['id']}/submit_tool_outputs"
        answer = self.api.http.post(path, json={"tool_outputs": outputs})
        if not self._refused(thread, answer.status_code, answer.text):
            assert is_waiting
            assert answer.json()["required_action"] is None
            self._note(thread, answer.json())

    @rule(thread=threads, value=st.text(max_size=20))
    def change_thread(self, thread: KnownThread, value: str) -> None:
        metadata = {"key": value.replace("\0", "")}
        answer = self.api.http.post(f"/threads/{thread.id}", json={"metadata": metadata})
        if not self._refused(thread, answer.status_code, answer.text):
            thread.metadata = metadata

    @rule(thread=threads, which=WHICH)
    def delete_message(self, thread: KnownThread, which: int) -> None:
        if not thread.texts:
            return
        message = thread.texts[which % len(thread.texts)]
        answer = self.api.http.delete(f"/threads/{thread.id}/messages/{message[0]}")
        if not self._refused(thread, answer.status_code, answer.text):
            thread.texts.remove(message)

    @rule(thread=threads, which=WHICH, order=st.sampled_from(["asc", "desc"]), limit=st.integers(1, 4))
    def page_through(self, thread: KnownThread, which: int, order: str, limit: int) -> None:
        kind = ("messages", "runs")[which % 2]
        found: list[str] = []
        cursor: dict[str, Any] = {}
        for _ in range(200):
            query = {"limit": limit, "order": order, **cursor}
            answer = self.api.http.get(f"/threads/{thread.id}/{kind}", params=query)
            if self._refused(thread, answer.status_code, answer.text):
                return
            page = answer.json()
            found += [item["id"] for item in page["data"]]
            if not page["has_more"]:
                break
            cursor = {"after": page["last_id"]}
        found = found if order == "asc" else found[::-1]
        assert len(set(found)) == len(found)
        if kind == "runs":
            assert found == thread.runs
        else:
            ours = {message_id for message_id, _ in thread.texts}
            assert [i for i in found if i in ours] == [message_id for message_id, _ in thread.texts]

    @rule(thread=consumes(threads), keeps=st.booleans())
    def delete_thread(self, thread: KnownThread, keeps: bool) -> None:
        if not thread.is_deleted:
            self.api.delete(f"/threads/{thread.id}")
            thread.is_deleted = True
        self.api.get(f"/threads/{thread.id}", status=404)

    @invariant()
    def everything_agrees(self) -> None:
        for thread in self.known:
            if thread.is_deleted:
                continue
            runs = self.api.get(f"/threads/{thread.id}/runs", order="asc", limit=100)["data"]
            assert [run["id"] for run in runs] == thread.runs
            for run in runs:
                self._note(thread, run)
            assert sum(run["status"] in _GO_BETWEEN for run in runs) <= 1, [run["status"] for run in runs]
            assert self.api.get(f"/threads/{thread.id}")["metadata"] == thread.metadata

    def teardown(self) -> None:
        """All runs come to an end, and leave a story without a gap."""
        for thread in self.known:
            if thread.is_deleted:
                continue
            for run_id in thread.runs:
                run = self._see(thread, run_id)
                if run["status"] not in TERMINAL:
                    self.api.http.post(f"/threads/{thread.id}/runs/{run_id}/cancel")
                self._note(thread, self.api.wait(run))
                assert all(step["status"] != "in_progress" for step in self.api.steps(run))
            statuses = {message["status"] for message in self._messages(thread)}
            assert "in_progress" not in statuses
            self.api.delete(f"/threads/{thread.id}")

    def _text(self) -> str:
        self.n_texts += 1
        return f"text {self.n_texts}"

    def _messages(self, thread: KnownThread) -> list[Json]:
        return self.api.messages(thread.id)

    def _pick(self, thread: KnownThread, which: int) -> Json | None:
        """One of the thread's runs, as it is now."""
        if not thread.runs or thread.is_deleted:
            return None
        return self._see(thread, thread.runs[which % len(thread.runs)])

    def _see(self, thread: KnownThread, run_id: str) -> Json:
        run = self.api.get(f"/threads/{thread.id}/runs/{run_id}")
        self._note(thread, run)
        return run

    def _note(self, thread: KnownThread, run: Json) -> None:
        before, now = thread.seen[run["id"]], run["status"]
        assert now in REACHABLE[before], f"{before} became {now}"
        thread.seen[run["id"]] = now

    def _refused(self, thread: KnownThread, status: int, text: str) -> bool:
        """Whether the call was refused, for a good reason."""
        if thread.is_deleted:
            assert status == 404, text
            return True
        assert status in (200, 400), text
        return status == 400


@pytest.fixture
def machine(service: Deployment, servers: LoopThread) -> Iterator[type[Anything]]:
    witness = Witness(service.port)
    servers.run(witness.start())
    with Api(witness.url) as api:

        class Here(Anything):
            pass

        Here.api = api
        Here.actors = {play: api.actor(play, *functions) for play, functions in PLAYS.items()}
        yield Here
    servers.run(witness.stop())
    wrong = complaints(witness.exchanges)
    assert not wrong, "\n".join(wrong[:20])


def test_any_order_of_calls_is_answered_well(machine: type[Anything]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=N_EXAMPLES,
            stateful_step_count=N_STEPS,
            deadline=None,
            derandomize=N_EXAMPLES <= 12,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
