"""What the scripted model says in these tests. An assistant names its play in its instructions: `play: two_calls`.

A play is a list of answers, one for each model call since the user last spoke: it needs no memory, so that any number
of runs can be on at once, and a call that is made again gets the same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from msgspec.structs import replace

from agentrt.engine.message import JsonObject, JsonValue, ToolCall
from agentrt.testing.model_answers import (
    Answer,
    Completion,
    ReceivedRequest,
    as_reply,
    body_reply,
    calls,
    delta,
    error,
    no_answer,
    stream,
    text,
)

WEATHER = ToolCall("call_weather_oslo", "get_weather", '{"city": "Oslo", "unit": "c"}')
RAIN = ToolCall("call_rain_oslo", "get_rain_probability", '{"city": "Oslo"}')
ADD = ToolCall("call_add", "add", '{"a": 2, "b": 3}')
BROKEN = ToolCall("call_broken", "get_weather", '{"city": "Os')
NOTE = ToolCall("call_note", "note", '{"text": "once"}')
SLOW = ToolCall("call_slow", "take_time", '{"seconds": 30}')
BOOM = ToolCall("call_boom", "explode", "{}")
SEARCH = ToolCall("call_search", "file_search", '{"queries": ["refunds after thirty days", "bicycles"]}')

CODE = """import csv, struct, zlib
rows = list(csv.DictReader(open("sales.csv")))
total = sum(int(row["amount"]) for row in rows)
print("rows:", len(rows))
with open("summary.csv", "w") as file:
    file.write(f"total\\n{total}\\n")

class Picture:
    def _repr_png_(self):
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        pixel = chunk(b"IDAT", zlib.compress(b"\\0\\7"))
        return b"\\x89PNG\\r\\n\\x1a\\n" + head + pixel + chunk(b"IEND", b"")

    def __repr__(self):
        return ""

Picture()"""
"""Reads a file, prints, writes a file and draws, without any package."""

CODE_ANSWER = "The total is 60: [summary](sandbox:/mnt/data/summary.csv)."
ANALYSE = """import csv
from pathlib import Path
text = Path("sales.csv").read_text()
total = sum(int(row["amount"]) for row in csv.DictReader(text.splitlines()))
print("total:", total)
Path("summary.csv").write_text(f"total\\n{total}\\n")
"""
"""In what every driver has."""

PLOT = """
import matplotlib.pyplot as plt
plt.bar(["jan", "feb", "mar"], [10, 20, 30])
plt.show()
"""
GO_ON = """
import os
try:
    print("total is", total)
except NameError:
    print("total is gone")
print(sorted(os.listdir()))
"""
_CODE_ARGUMENTS = json.dumps({"code": CODE})

SEARCH_ANSWER = "Größe 𝒳: refunds take thirty days{0}. Bicycles stand behind the house{1}, I think 【9:9†source】."
"""With the markers of the passages in place of the numbers, in the order in which the search gave them."""

STORY = "Once upon a time there was a stream that nobody could lose. " * 3

SLOW_S = 0.02
"""Between two pieces of the plays whose names begin with `slow_`."""


def _more(index: int, arguments: str) -> dict[str, object]:
    return delta(tool_calls=[{"index": index, "function": {"arguments": arguments}}])


def _code(call_id: str, code: str) -> ToolCall:
    return ToolCall(call_id, "code_interpreter", json.dumps({"code": code}))


_USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
_MARKER = re.compile(r"^【[^】]+】", re.MULTILINE)
_NAME = re.compile(r"play: (\w+)")


def _piece(index: int, call_id: str | None, name: str | None, arguments: str) -> JsonObject:
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


PLAYS: Mapping[str, tuple[Answer, ...]] = {
    "hello": (text("Hello there, how are you?", n_chunks=8),),
    "one_call": (calls(WEATHER), text("It is 4 °C in Oslo.", n_chunks=4)),
    "two_calls": (calls(WEATHER, RAIN), text("It is 4 °C, and it may rain.", n_chunks=5, usage=(40, 9))),
    "code": (
        stream(
            delta(tool_calls=[{"index": 0, "id": "call_code", "type": "function",
                               "function": {"name": "code_interpreter", "arguments": ""}}]),
            *(_more(0, _CODE_ARGUMENTS[begin:begin + 40]) for begin in range(0, len(_CODE_ARGUMENTS), 40)),
            delta("tool_calls"),
            {"choices": [], "usage": _USAGE},
        ),
        text(CODE_ANSWER, n_chunks=6),
    ),
    "analyse": (calls(_code("call_analyse", ANALYSE)), text(CODE_ANSWER)),
    "plot": (calls(_code("call_plot", ANALYSE + PLOT)), text(CODE_ANSWER)),
    "go_on": (calls(_code("call_go_on", GO_ON)), text(CODE_ANSWER)),
    "search": (calls(SEARCH), text(SEARCH_ANSWER, n_chunks=40)),
    "two_rounds": (calls(WEATHER), calls(RAIN), text("Cold and wet.", n_chunks=3)),
    "words_and_call": (calls(WEATHER, text="Let me look."), text("It is 4 °C.", n_chunks=2)),
    "call_and_words": (
        stream(
            delta(tool_calls=[_head := {"index": 0, "id": "call_first", "type": "function",
                                        "function": {"name": "get_weather", "arguments": ""}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city": "Oslo"}'}}]),
            delta(content="I am looking it up."),
            delta("tool_calls"),
            {"choices": [], "usage": _USAGE},
        ),
        text("It is 4 °C."),
    ),
    "pieces": (
        stream(
            delta(role="assistant", content=None, tool_calls=[
                {"index": 0, "id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
            ]),
            *(_more(0, piece) for piece in ('{"ci', 'ty": ', '"Oslo"}')),
            delta(tool_calls=[
                {"index": 1, "id": "call_b", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
            ]),
            *(_more(1, piece) for piece in ('{"city": "Ber', 'gen"}')),
            delta("tool_calls"),
            {"choices": [], "usage": _USAGE},
        ),
        text("Both are cold."),
    ),
    "broken_arguments": (calls(BROKEN), text("I could not ask for it.")),
    "own_tool": (calls(ADD), text("The sum is 5.", n_chunks=2)),
    "own_tools": (calls(ADD, ToolCall("call_add_more", "add", '{"a": 5, "b": 6}')), text("5 and 11.")),
    "mixed": (calls(ADD, WEATHER), text("The sum is 5 and it is 4 °C.", n_chunks=3)),
    "bad_calls": (
        calls(
            ToolCall("call_no_json", "add", "{a: 2"),
            ToolCall("call_wrong", "add", '{"a": "two"}'),
            BOOM,
            ToolCall("call_unknown", "fly_to_the_moon", "{}"),
        ),
        text("None of that worked."),
    ),
    "slow_tool": (calls(SLOW), text("That took a while.")),
    "note": (calls(NOTE), text("It is noted.")),
    "slow_call": (calls(WEATHER), Completion(text=STORY, n_chunks=60)),
    "slow_story": (Completion(text=STORY, n_chunks=60),),
    "endless": (stream(delta(role="assistant", content="I "), delta(content="think "), done=False, ending="silence"),),
    "speechless": (no_answer("silence"),),
    "empty": (text(""),),
    "cut": (Completion(text="This answer is too lo", n_chunks=3, finish_reason="length", usage=(30, 300)),),
    "filtered": (Completion(text="I must not", n_chunks=2, finish_reason="content_filter"),),
    "thirsty": tuple(
        Completion(calls=(ToolCall(f"call_{n}", "get_weather", "{}"),), usage=(200, 90)) for n in range(5)
    ),
    "refusal": (
        stream(delta(role="assistant", refusal="I will "), delta(refusal="not do that."), delta("stop"),
               {"choices": [], "usage": _USAGE}),
    ),
    "refusal_and_words": (
        stream(delta(refusal="I will not "), delta(content="do that."), delta(refusal=" Sorry."), delta("stop")),
    ),
    "words_and_refusal": (
        stream(delta(content="Well. "), delta(refusal="I will not."), delta(content="Sorry."), delta("stop")),
    ),
    "reasoning": (stream(delta(reasoning_content="Hmm. "), delta(content="Yes."), delta("stop")),),
    "cut_call": (
        stream(
            delta(tool_calls=[_piece(0, "call_cut", "get_weather", '{"city": "Os')]),
            delta("length"),
            {"choices": [], "usage": _USAGE},
        ),
    ),
    "cut_call_and_words": (
        stream(
            delta(tool_calls=[_piece(0, "call_cut", "get_weather", '{"city": "Os')]),
            delta(content="And then"),
            delta("length"),
            {"choices": [], "usage": _USAGE},
        ),
    ),
    "cut_words_and_call": (
        stream(
            delta(content="Let me"),
            delta(tool_calls=[_piece(0, "call_cut", "get_weather", '{"city": "Os')]),
            delta("length"),
            {"choices": [], "usage": _USAGE},
        ),
    ),
    "hang_up_in_a_call": (
        stream(delta(tool_calls=[_piece(0, "call_cut", "get_weather", '{"ci')]), done=False, ending="hang_up"),
    ),
    "filtered_call": (
        stream(delta(tool_calls=[_piece(0, "call_cut", "get_weather", '{"ci')]), delta("content_filter")),
    ),
    "same_ids": (calls(WEATHER), calls(WEATHER), text("Twice the same.")),
    "late_name": (
        stream(
            delta(tool_calls=[_piece(0, "call_late", None, "")]),
            delta(tool_calls=[_piece(1, "call_early", "get_weather", "{}")]),
            delta(tool_calls=[_piece(0, None, "get_weather", '{"city": "Oslo"}')]),
            delta("tool_calls"),
        ),
        text("Late, but there."),
    ),
    "unauthorized": (error(401, "Incorrect API key provided: sk-pup***pet.", code="invalid_api_key"),),
    "unknown_model": (error(404, "The model `puppet` does not exist.", code="model_not_found"),),
    "busy": (error(429, "Rate limit reached for puppet.", code="rate_limit_exceeded", headers={"retry-after": "1"}),),
    "busy_once": (text("Thank you for your patience."),),
    "no_money": (error(429, "You exceeded your current quota.", code="insufficient_quota"),),
    "broken_server": (error(500, "The server had an error."),),
    "too_long": (error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),),
    "hang_up": (no_answer("hang_up"),),
    "hang_up_in_mid_answer": (stream(delta(content="I was about to"), done=False, ending="hang_up"),),
    "malformed": (stream(delta(content="So far so good"), b"data: {not json\n\n", done=False),),
    "web_page": (body_reply(b"<html>Bad gateway</html>", status=502, content_type="text/html"),),
}  # fmt: skip


def play(request: ReceivedRequest) -> Answer:
    """The script of the fake model server."""
    messages = request.body.get("messages")
    assert isinstance(messages, list)
    match = _NAME.search(_text(messages[0])) if messages else None
    answers = PLAYS.get(match[1]) if match else None
    if match is not None and match[1] == "obey":
        answers = _obedience(next((_text(message) for message in reversed(messages) if _is_user(message)), ""))
    if answers is None:
        return error(400, "No play is named in the instructions.")
    n_done = 0
    for message in reversed(messages):
        if not isinstance(message, dict) or message.get("role") == "user":
            break
        n_done += message.get("role") == "assistant"
    if match is not None and match[1].endswith("_once") and _is_first(messages):
        return PLAYS[match[1].removesuffix("_once")][0]
    answer = _cited(answers[min(n_done, len(answers) - 1)], messages)
    if match is not None and match[1].startswith("slow_"):
        return replace(as_reply(answer, request), delay_s=SLOW_S)
    return answer


def _cited(answer: Answer, messages: list[JsonValue]) -> Answer:
    """The answer to a search, with the markers that it gave."""
    if not isinstance(answer, Completion) or answer.text != SEARCH_ANSWER:
        return answer
    found = _MARKER.findall(_text(messages[-1]))
    return replace(answer, text=SEARCH_ANSWER.format(*found, "", ""))


def _obedience(asked: str) -> tuple[Answer, ...]:
    """The play `obey`: what the user last said is code to call. `---` on a line parts calls of one turn, `===` the
    answer from them."""
    code, _, answer = asked.partition("\n===\n")
    made = [_code(f"call_obey_{n}", part) for n, part in enumerate(code.split("\n---\n"))]
    return calls(*made), text(answer or "Done.")


_seen: set[str] = set()


def _is_first(messages: list[JsonValue]) -> bool:
    """Whether this conversation is new: plays whose names end with `_once` fail the first time."""
    talk = "".join(_text(message) for message in messages)
    is_first = talk not in _seen
    _seen.add(talk)
    return is_first


def _is_user(message: JsonValue) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _text(message: JsonValue) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""
