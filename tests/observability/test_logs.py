"""What log lines look like, and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from agentrt.observability.logs import ConsoleFormatter, JsonFormatter, set_up_logging

SECRET = "sk-abcdefghijklmnopqrstuv"
log = logging.getLogger("agentrt.somewhere")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream to log to; logging is put back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("agentrt")
    before = root.handlers[:], root.level, ours.level
    yield io.StringIO()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_an_event_is_one_json_object_a_line(stream: io.StringIO) -> None:
    set_up_logging(form="json", stream=stream)
    log.info("run.claimed", extra={"run": "run_1", "wait_ms": 3.5, "steps": ["a", 1], "of": {"b": None}})
    [line] = stream.getvalue().splitlines()
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "info",
        "event": "run.claimed",
        "logger": "agentrt.somewhere",
        "run": "run_1",
        "wait_ms": 3.5,
        "steps": ["a", 1],
        "of": {"b": None},
    }


def test_an_event_is_one_readable_line(stream: io.StringIO) -> None:
    set_up_logging(stream=stream)
    log.warning("run.lost", extra={"run": "run_1", "n": 2, "why": "it said:\n no"})
    assert stream.getvalue()[8:] == ' warning run.lost run=run_1 n=2 why="it said:\\n no"\n'


def test_colour_marks_only_what_needs_attention(stream: io.StringIO) -> None:
    set_up_logging(stream=stream, is_coloured=True)
    log.info("run.claimed")
    log.error("run.lost")
    first, second = stream.getvalue().splitlines()
    assert "\x1b" not in first
    assert "\x1b[31merror  \x1b[0m" in second


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_wherever_they_stand(stream: io.StringIO, form: str) -> None:
    set_up_logging(form="json" if form == "json" else "console", stream=stream)
    log.info("key.used", extra={"api_key": "hunter2", "headers": {"Authorization": "hunter2", "list": [SECRET]}})
    logging.getLogger("other").warning("called %s with %s", "http://a:hunter2@b", SECRET)
    try:
        raise ValueError(f"bad key {SECRET}")
    except ValueError:
        log.exception("key.bad", extra={"what": (SECRET, {SECRET})})
    text = stream.getvalue()
    assert "hunter2" not in text
    assert SECRET not in text
    assert "***" in text
    assert "ValueError: bad key ***" in text


def test_the_fields_that_every_line_has_cannot_be_replaced(stream: io.StringIO) -> None:
    set_up_logging(form="json", stream=stream)
    log.info("run.claimed", extra={"event": "x", "level": "y"})
    fields = json.loads(stream.getvalue())
    assert (fields["event"], fields["level"]) == ("run.claimed", "info")


def test_levels_hold_for_agentrt_and_others_are_heard_from_warning_on(stream: io.StringIO) -> None:
    set_up_logging(stream=stream)
    log.debug("too.small")
    logging.getLogger("httpx").info("GET http://…")
    logging.getLogger("httpx").warning("slow")
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["slow"]


def test_at_debug_more_is_heard_of_both(stream: io.StringIO) -> None:
    set_up_logging(stream=stream, level="debug")
    log.debug("run.looked_at")
    logging.getLogger("httpx").info("GET")
    assert len(stream.getvalue().splitlines()) == 2


def test_setting_up_twice_does_not_double_the_lines(stream: io.StringIO) -> None:
    set_up_logging(stream=io.StringIO())
    set_up_logging(stream=stream)
    log.info("run.claimed")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_value_that_json_does_not_know_is_text() -> None:
    record = logging.makeLogRecord({"msg": "x.y", "path": object, "deep": {"a": {"b": {"c": {"d": {"e": 1}}}}}})
    assert "<class 'object'>" in json.loads(JsonFormatter().format(record))["path"]
    assert "x.y" in ConsoleFormatter(is_coloured=False).format(record)
