"""One call as the supervisor sees it: its limits, its output, and how it ended. Stdlib only; see runner.py."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from agentrt_display import MAX_BYTES, MAX_DISPLAYS
from agentrt_frames import Frame, clean
from agentrt_output import Output
from agentrt_processes import Death, n_oom_kills

Fields = dict[str, object]

MAX_DISPLAY_BYTES = 32 * 1024 * 1024
_START_S = 5.0
_TEXT_CHARS = 128 * 1024
_NAME_CHARS = 200
_NEVER = float("inf")
_STATUSES = ("ok", "error", "exit", "interrupted")


class Call:
    """One `exec`, from its arrival to its `done`. The moments are of `monotonic`."""

    def __init__(self, frame: Frame, call_id: str) -> None:
        timeout = frame.get("timeout")
        self.id = call_id
        self.code = str(frame["code"])
        self.reason = ""  # why it was stopped: timeout, interrupted, oom
        self.is_retry = False
        self.cpu_ms = 0.0
        self.start_by = self.interrupt_at = self.kill_at = _NEVER
        self.output: Output
        self._timeout_s = _NEVER if timeout is None else float(timeout)
        self._n_displays = 0
        self._n_display_bytes = 0

    def begin(self, send: Callable[[str, str, str, int], None], output_bytes: int, n_oom_kills_before: int) -> None:
        """It goes to the worker now."""
        self._begun_at = monotonic()
        self._n_oom_kills_before = n_oom_kills_before
        self.start_by = self._begun_at + _START_S
        self.interrupt_at = self._begun_at + self._timeout_s
        self.output = Output(lambda stream, text, n_skipped: send(self.id, stream, text, n_skipped), output_bytes)

    def again(self) -> Call:
        """The same, for another worker."""
        self.is_retry = True
        self.start_by = self.interrupt_at = _NEVER
        return self

    def moments(self) -> list[float]:
        """When something about it is due."""
        return [self.output.due, self.start_by, self.interrupt_at, self.kill_at]

    def takes_display(self, data: bytes) -> bool:
        self._n_displays += 1
        self._n_display_bytes += len(data)
        fits = self._n_displays <= MAX_DISPLAYS and self._n_display_bytes <= MAX_DISPLAY_BYTES
        return fits and 0 < len(data) <= MAX_BYTES

    def told_by_worker(self, frame: Frame) -> Fields:
        """What the worker says about the end, checked. It ended in time if nobody had stopped it."""
        status = frame.get("status")
        fields: Fields = {"status": self.reason or (status if status in _STATUSES else "error")}
        if isinstance(frame.get("result"), str):
            fields["result"] = clean(frame["result"], _TEXT_CHARS)
        error = frame.get("error")
        if isinstance(error, dict):
            fields["error"] = {
                "name": clean(error.get("name"), _NAME_CHARS),
                "value": clean(error.get("value"), _TEXT_CHARS),
                "traceback": clean(error.get("traceback"), _TEXT_CHARS),
            }
        self.cpu_ms = _number(frame.get("cpu_ms"))
        return fields | {
            "ms": _number(frame.get("ms")),
            "cpu_ms": self.cpu_ms,
            "max_rss": int(_number(frame.get("max_rss"))),
        }

    def told_by_death(self, death: Death | None, cpu_ms_before: float) -> Fields:
        """The worker was killed, or ended by the code's doing. death: None if it could not be found out."""
        status, value = self.reason, ""
        if not status and n_oom_kills() > self._n_oom_kills_before:
            status = "oom"
        if not status:
            status, value = _cause(death)
        return {
            "status": status,
            **({"error": {"name": status, "value": value, "traceback": ""}} if value else {}),
            "ms": (monotonic() - self._begun_at) * 1000,
            "cpu_ms": max(0.0, death.cpu_ms - cpu_ms_before) if death else 0.0,
            "max_rss": death.max_rss if death else 0,
        }

    def never_ran(self) -> Fields:
        return {
            "status": "interrupted",
            "ms": 0.0,
            "cpu_ms": 0.0,
            "max_rss": 0,
            "out_bytes": 0,
            "truncated": False,
            "state": "kept",
        }

    def counts(self) -> Fields:
        return {"out_bytes": self.output.n_bytes, "truncated": self.output.is_truncated}


def _cause(death: Death | None) -> tuple[str, str]:
    if death is None:
        return "crashed", "the process that runs the code is gone"
    if death.signal:
        return "crashed", f"signal {death.signal}"
    return "exit", str(death.exit_code)


def _number(value: Any) -> float:
    """A number of the worker's; 0 for what is none, or is none that JSON knows."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e15 else 0.0
