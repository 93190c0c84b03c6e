"""What must hold of every answer, whatever was asked: the contract page's section 1, the official document's shapes,
and the order of streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.compat.contract import DOCUMENT, ContractError, is_own, template_of, validate_event, validate_response
from tests.compat.story import StoryError, check_story, read_stream
from tests.compat.witness import Exchange

_REQUEST_ID = re.compile(r"req_[0-9A-Za-z]{24}")
_ID = re.compile(r"(asst|thread|msg|run|step|vs|vsfb)_[0-9A-Za-z]{24}|file-[0-9A-Za-z]{24}|call_[0-9A-Za-z_]+")
_PREFIXES = {
    "assistant": "asst_",
    "thread": "thread_",
    "thread.message": "msg_",
    "thread.run": "run_",
    "thread.run.step": "step_",
    "file": "file-",
    "vector_store": "vs_",
    "vector_store.file": "file-",
    "vector_store.files_batch": "vsfb_",
}
_POLLED = {"thread.run", "vector_store.file", "vector_store.files_batch"}
_DECLARED_ID = "asst_declared"
# Assistants do not rest on one model call: the old service sent no rate-limit headers with them either.
_ALWAYS = {"openai-version": r"2020-10-01", "openai-processing-ms": r"\d+", "openai-organization": r".+"}
_FIELDS_OF_TIME = re.compile(r".*_at")


def complaints(exchanges: Iterable[Exchange]) -> list[str]:
    """Everything that the answers do wrong; empty when all is well."""
    found: list[str] = []
    seen: set[str] = set()
    for exchange in list(exchanges):
        if not exchange.target.startswith("/v1/") or not exchange.status:
            continue
        found += [f"{exchange}: {complaint}" for complaint in _judge(exchange)]
        request_id = exchange.headers.get("x-request-id", "")
        if request_id in seen:
            found.append(f"{exchange}: the request id {request_id} was used before")
        seen.add(request_id)
    return found


def _judge(exchange: Exchange) -> Iterator[str]:
    yield from _judge_headers(exchange)
    kind = exchange.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        yield from _judge_stream(exchange)
    elif re.fullmatch(r"/v1/files/[^/]+/content", exchange.target.partition("?")[0]) and exchange.status == 200:
        return
    elif kind != "application/json":
        yield f"the content type is {kind!r}"
    elif exchange.is_whole:
        yield from _judge_body(exchange)


def _judge_headers(exchange: Exchange) -> Iterator[str]:
    headers = exchange.headers
    if not _REQUEST_ID.fullmatch(headers.get("x-request-id", "")):
        yield f"x-request-id is {headers.get('x-request-id')!r}"
    for name, pattern in _ALWAYS.items():
        if not re.fullmatch(pattern, headers.get(name, "")):
            yield f"{name} is {headers.get(name)!r}"
    if exchange.status == 409:
        yield "SDKs would retry a 409"
    if exchange.status == 429 and "retry-after" not in headers:
        yield "a 429 without retry-after"


def _judge_body(exchange: Exchange) -> Iterator[str]:
    try:
        body = json.loads(exchange.body)
    except ValueError as error:
        yield f"the body is no JSON: {error}"
        return
    if exchange.status >= 400:
        yield from _judge_error(exchange.status, body)
    else:
        yield from _judge_ids(body)
        if body.get("object") in _POLLED and not re.fullmatch(r"\d+", exchange.headers.get("openai-poll-after-ms", "")):
            yield f"a {body['object']} without openai-poll-after-ms: SDKs would sleep a second"
    if DOCUMENT.is_file() and not is_own(exchange.target.partition("?")[0]):
        try:
            path = exchange.target if exchange.status < 400 else "/v1/threads"
            validate_response(exchange.method, template_of(path), exchange.status, body, closed=True)
        except ContractError as error:
            yield f"{error} in {_short(body)}"


def _judge_error(status: int, body: Any) -> Iterator[str]:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or error.keys() != {"message", "type", "param", "code"} or len(body) != 1:
        yield f"no error envelope: {_short(body)}"
        return
    kinds = {"requests", "tokens", "insufficient_quota"} if status == 429 else {"invalid_request_error"}
    if error["type"] not in (kinds if status < 500 else {"server_error"}):
        yield f"status {status} has the type {error['type']!r}"
    if not error["message"]:
        yield "an error without a message"


def _judge_stream(exchange: Exchange) -> Iterator[str]:
    if exchange.status != 200:
        yield "a stream is always a 200: errors before it are JSON"
    is_resumed = exchange.method == "GET"
    try:
        events = read_stream(exchange.body)
        is_broken = any(event.name == "error" for event in events)
        check_story(events, is_resumed=is_resumed, is_whole=exchange.is_whole and not is_broken)
    except StoryError as error:
        yield str(error)
        return
    for event in events:
        if event.name != "done":
            yield from _judge_ids(event.data)
        if DOCUMENT.is_file():
            try:
                validate_event(event.name, event.data, closed=True)
            except ContractError as error:
                yield f"{error} in {_short(event.data)}"


def _judge_ids(value: Any) -> Iterator[str]:
    """Prefixes of ids, and times in whole seconds, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _judge_ids(item)
    elif isinstance(value, dict):
        kind, own_id = value.get("object"), value.get("id")
        prefix = _PREFIXES.get(str(kind))
        if prefix and own_id != _DECLARED_ID and not (_ID.fullmatch(str(own_id)) and str(own_id).startswith(prefix)):
            yield f"a {kind} has the id {own_id!r}"
        for name, item in value.items():
            if _FIELDS_OF_TIME.fullmatch(name) and item is not None and type(item) is not int:
                yield f"{name} is {item!r}"
            yield from _judge_ids(item)


def _short(body: Any) -> str:
    text = json.dumps(body)
    return text if len(text) < 400 else f"{text[:400]}…"
