"""The order of a run's stream, as the contract page (section 4) has it: a grammar, and what the events say together.

`read_stream` parses, `check_story` judges. What a single event's data must look like is contract.py's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

# A rule is made of events, other rules, and the signs of regular expressions. `run.`, `step.` and `message.` are short
# for `thread.run.`, `thread.run.step.` and `thread.message.`.
_GRAMMAR = {
    "text": "step.created step.in_progress message.created message.in_progress message.delta*",
    "text_step": "text message.completed step.completed",
    "calls": "step.created step.in_progress step.delta*",
    # What a process that died left open is closed first; the call to the model is then made again.
    "lost": "( text message.incomplete step.failed ) | ( text_step? calls step.failed )",
    "begun": "run.queued run.in_progress",
    "resting": "calls run.requires_action",
    # A model that speaks after its calls is heard when their step is closed: steps do not overlap.
    "turn": "( lost | text_step? calls step.completed | text_step? resting step.completed begun ) text_step?",
    "completed": "text_step run.completed",
    "failed": "( text message.incomplete step.failed | text_step? calls step.failed )? run.failed",
    "incomplete": "( text message.incomplete step.completed | calls step.failed )? run.incomplete",
    "cancelled": "( text | text_step? resting | text_step? calls )? run.cancelling "
    "( message.incomplete step.cancelled | step.cancelled )? run.cancelled",
    "expired": "( text message.incomplete step.expired | text_step? ( resting | calls ) step.expired )? run.expired",
    "waiting": "text_step? resting",
    "end": "completed | failed | incomplete | cancelled | expired | waiting",
    "unbegun": "( run.cancelling run.cancelled | run.expired | run.failed )",
    # Outputs were submitted, and before anybody took the run up again it was over.
    "answered": "text_step? resting step.completed run.queued unbegun",
    "created": "thread.created? run.created ( run.queued unbegun | begun turn* ( end | answered ) ) done",
    "submitted": "step.completed ( run.queued unbegun | begun text_step? turn* ( end | answered ) ) done",
}
_EXPANDED: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream. data: the decoded JSON, or the text `[DONE]`; id: None when there was no `id:` line."""

    name: str
    data: Any
    id: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        assert self.id is not None, f"{self.name} has no id"
        epoch, seq = self.id.split(".")
        return int(epoch), int(seq)


class StoryError(AssertionError):
    """Not an order that the contract knows."""


def read_stream(body: bytes) -> list[StreamEvent]:
    """The events of a stream's body; one that was cut off in the middle is left out. Comments are passed over."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        fields = dict(line.split(": ", 1) for line in lines)
        if fields.keys() - {"id"} != {"event", "data"} or len(fields) != len(lines):
            raise StoryError(f"not an event of this API: {block!r}")
        data = fields["data"] if fields["event"] == "done" else json.loads(fields["data"])
        events.append(StreamEvent(fields["event"], data, fields.get("id")))
    return events


def check_story(events: Sequence[StreamEvent], *, is_resumed: bool = False, is_whole: bool = True) -> None:
    """Judge a stream. is_resumed: it may begin anywhere. is_whole: it was read to its end, which must be `done`.

    Raises StoryError.
    """
    names = _short_names(events)
    if is_whole and not is_resumed and not (_fits("created", names) or _fits("submitted", names)):
        raise StoryError(f"no story of the contract: {' '.join(_folded(names))}")
    if is_whole and names[-1:] != ["done"]:
        raise StoryError(f"the stream ends with {names[-1:]}, not with done")
    _check_places(events)
    if not is_resumed:
        _Reader().read(events)


def story(events: Iterable[StreamEvent]) -> str:
    """The names in short, a run of the same ones as one: `run.created … message.delta message.completed …`."""
    return " ".join(_folded(_short_names(events)))


def text_of(events: Iterable[StreamEvent]) -> str:
    """All text of the message deltas."""
    return "".join(
        part.get("text", {}).get("value", "")
        for event in events
        if event.name == "thread.message.delta"
        for part in event.data["delta"]["content"]
    )


def _short_names(events: Iterable[StreamEvent]) -> list[str]:
    return [re.sub(r"^thread\.(run\.(?=step\.))?(?=run\.|step\.|message\.)", "", event.name) for event in events]


def _folded(names: Sequence[str]) -> list[str]:
    return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]


def _fits(rule: str, names: Sequence[str]) -> bool:
    return re.fullmatch(_expand(rule), "".join(f"{name} " for name in names)) is not None


def _expand(rule: str) -> str:
    if rule not in _EXPANDED:
        pieces = re.findall(r"[a-z_.]+|[()|?*]", _GRAMMAR[rule])
        parts = [_piece(piece) for piece in pieces]
        _EXPANDED[rule] = f"(?:{''.join(parts)})"
    return _EXPANDED[rule]


def _piece(piece: str) -> str:
    if piece in _GRAMMAR:
        return _expand(piece)
    if piece == "(":
        return "(?:"
    return piece if piece in ")|?*" else f"(?:{re.escape(piece)} )"


def _check_places(events: Sequence[StreamEvent]) -> None:
    places = [event.place for event in events if event.name not in ("done", "error")]
    if sorted(set(places)) != places:
        raise StoryError(f"the ids do not rise: {places}")


@dataclass(slots=True)
class _Reader:
    """Joins a stream as the SDKs do, and holds it against what the finished objects say."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    marks: dict[str, list[Json]] = field(default_factory=dict)
    calls: dict[str, list[Json]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    usage: list[Json] = field(default_factory=list)
    n_submitted: int = 0

    def read(self, events: Sequence[StreamEvent]) -> None:
        self.n_submitted = int(bool(events) and events[0].name == "thread.run.step.completed")
        for event in events:
            kind, _, status = event.name.rpartition(".")
            if kind not in ("thread.run", "thread.run.step", "thread.message"):
                continue
            if status == "delta":
                self._join(event)
            else:
                self._object(kind, status, event.data)

    def _object(self, kind: str, status: str, data: Json) -> None:
        shown = {"created": {"thread.run": "queued"}.get(kind, "in_progress")}.get(status, status)
        _need(data["object"] == kind, f"{kind}.{status} carries a {data['object']}")
        _need(data["status"] == shown, f"{kind}.{status} carries an object that is {data['status']}")
        if kind == "thread.message":
            self._message(status, data)
        elif kind == "thread.run.step":
            self._step(status, data)
        elif data["usage"] is not None and self.n_submitted == 0:
            sums = {key: sum(usage[key] for usage in self.usage) for key in data["usage"]}
            _need(sums == data["usage"], f"the steps used {sums}, the run {data['usage']}")

    def _message(self, status: str, data: Json) -> None:
        if status == "created":
            _need(data["content"] == [], "message.created has content already: SDKs add the deltas to it")
            _need(data["id"] not in self.texts, "a message is created twice")
            self.texts[data["id"]] = []
        elif status in ("completed", "incomplete"):
            said = [_said(part) for part in data["content"]]
            joined = self.texts[data["id"]]
            _need(said == (joined or [""]), f"the deltas say {joined}, the message {said}")
            marks = [mark for part in data["content"] for mark in part.get("text", {}).get("annotations", [])]
            told = self.marks.get(data["id"], [])
            if status == "completed":
                _need(marks == told, f"the deltas annotate {told}, the message {marks}")
            for part in data["content"]:
                for mark in part.get("text", {}).get("annotations", []):
                    place = slice(mark["start_index"], mark["end_index"])
                    _need(part["text"]["value"][place] == mark["text"], f"not what stands there: {mark}")

    def _step(self, status: str, data: Json) -> None:
        step_id, details = data["id"], data["step_details"]
        if status == "created":
            _need(step_id not in self.calls, "a step is created twice")
            self.calls[step_id] = []
            _need(details.get("tool_calls", []) == [], "step.created has calls already")
        elif status not in ("in_progress",) and step_id in self.calls and details["type"] == "tool_calls":
            self._same_calls(self.calls[step_id], details["tool_calls"], is_cut=status != "completed")
        if data["usage"] is not None:
            self.usage.append(data["usage"])

    def _same_calls(self, joined: list[Json], said: list[Json], *, is_cut: bool) -> None:
        if is_cut and not said:
            return  # the answer broke off before the calls were whole
        _need(len(joined) == len(said), f"{len(joined)} calls in the deltas, {len(said)} in the step")
        for ours, theirs in zip(joined, said, strict=True):
            _need(ours["id"] == theirs["id"], "a call's id differs")
            _need(ours["type"] == theirs["type"], "a call's type differs")
            if ours["type"] != "function":
                _same_hosted(ours, theirs)
                continue
            for name in ("name", "arguments"):
                _need(ours[name] == theirs["function"][name], f"a call's {name} differs: {ours} and {theirs}")

    def _join(self, event: StreamEvent) -> None:
        if event.name == "thread.message.delta":
            for part in event.data["delta"]["content"]:
                self._join_part(self.texts[event.data["id"]], part)
                for mark in part.get("text", {}).get("annotations", []):
                    marks = self.marks.setdefault(event.data["id"], [])
                    _need(mark["index"] == len(marks), f"an annotation is left out: {mark}")
                    marks.append({name: value for name, value in mark.items() if name != "index"})
            return
        for call in event.data["delta"]["step_details"]["tool_calls"]:
            calls = self.calls[event.data["id"]]
            if call["type"] == "code_interpreter":
                _join_code(calls, call)
            elif call["type"] == "file_search":
                _need(call == {"index": len(calls), "id": call["id"], "type": "file_search", "file_search": {}},
                      f"not a search: {call}")  # fmt: skip
                calls.append({"id": call["id"], "type": "file_search"})
            elif call["index"] == len(calls):
                function = call["function"]
                _need(call["type"] == "function" and function["output"] is None, f"not the head of a call: {call}")
                calls.append({"type": "function", "id": call["id"], **function})
            else:
                _need(call["index"] < len(calls), f"a call is left out: {call}")
                _need("id" not in call and "name" not in call["function"], f"SDKs glue what is repeated: {call}")
                calls[call["index"]]["arguments"] += call["function"].get("arguments", "")

    @staticmethod
    def _join_part(parts: list[str], part: Json) -> None:
        is_new = part["index"] == len(parts)
        _need(is_new or part["index"] < len(parts), f"a part is left out: {part}")
        if part["type"] == "image_file":
            _need(is_new, f"an image comes twice: {part}")
            parts.append(_said(part))
            return
        if part["type"] == "text" and "value" not in part["text"]:
            _need(not is_new and part["text"].keys() == {"annotations"}, f"nothing is said: {part}")
            return
        if part["type"] == "text":
            _need(("annotations" in part["text"]) == is_new, "annotations belong into a part's first delta")
        value = part["text"]["value"] if part["type"] == "text" else part["refusal"]
        parts[part["index"] :] = [(parts[part["index"]] if not is_new else "") + value, *parts[part["index"] + 1 :]]


def _said(part: Json) -> str:
    match part["type"]:
        case "text":
            return str(part["text"]["value"])
        case "image_file":
            return f"image {part['image_file']['file_id']}"
        case _:
            return str(part["refusal"])


def _join_code(calls: list[Json], call: Json) -> None:
    code = call["code_interpreter"]
    if call["index"] == len(calls):
        _need(code.keys() == {"input", "outputs"} and code["outputs"] == [], f"not the head of a call: {call}")
        calls.append({"type": "code_interpreter", "id": call["id"], "input": code["input"], "outputs": []})
        return
    _need(call["index"] < len(calls) and "id" not in call, f"SDKs glue what is repeated: {call}")
    joined = calls[call["index"]]
    joined["input"] += code.get("input", "")
    for output in code.get("outputs", []):
        outputs, place = joined["outputs"], output["index"]
        bare = {name: value for name, value in output.items() if name != "index"}
        if place == len(outputs):
            outputs.append(bare)
        else:
            _need(place == len(outputs) - 1 and output["type"] == "logs", f"an output is out of place: {output}")
            outputs[place]["logs"] += output["logs"]


def _same_hosted(ours: Json, theirs: Json) -> None:
    if ours["type"] == "code_interpreter":
        code = theirs["code_interpreter"]
        _need(ours["input"] == code["input"], f"the code differs: {ours} and {theirs}")
        _need(ours["outputs"] == code["outputs"], f"the outputs differ: {ours} and {theirs}")


def _need(condition: bool, why: str) -> None:
    if not condition:
        raise StoryError(why)
