"""Multipart forms, read as they arrive: a file's bytes go to the disk in pieces and are never all in memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from agentrt.errors import InvalidRequestError, RequestTooLargeError
from agentrt.files.blobs import Received
from agentrt.runtime.files import MAX_FILE_BYTES
from agentrt.server.endpoint import Call
from agentrt.store.files import File
from agentrt.wire.files import read_file_form

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024

_EXTENDED_NAME = re.compile(rb"""filename\*=utf-8''([^;\s]+)""", re.IGNORECASE)
_ENVELOPE_BYTES = 1024 * 1024  # what boundaries, headers and the other fields may add to a file


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form; filename is None for a text. Its bytes must be read before the next part is asked for."""

    name: str
    filename: str | None
    chunks: AsyncGenerator[bytes, None]


async def receive_file(call: Call) -> File:
    """Store the file of an upload form. Raises InvalidRequestError, RequestTooLargeError, UnavailableError."""
    if call.announced_bytes > MAX_FILE_BYTES + _ENVELOPE_BYTES:
        raise RequestTooLargeError(f"The file is too large: at most {MAX_FILE_BYTES} bytes.", param="file")
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(aclosing(read_form(call)))
        fields: list[tuple[str, str]] = []
        filename: str | None = None
        received: Received | None = None
        async for part in form:
            if part.name != "file" or part.filename is None:
                fields.append((part.name, await _text(part, n_before=len(fields))))
                continue
            if received is not None:
                raise InvalidRequestError("Only one file can be uploaded at a time.", param="file")
            filename = part.filename
            received = await stack.enter_async_context(call.runtime.files.receive(part.chunks))
        wanted = read_file_form(fields, filename=filename, unknown_fields=call.runtime.config.server.unknown_fields)
        assert received is not None  # a form without a file was refused
        return await call.runtime.files.keep(
            call.project,
            received,
            filename=filename or "",
            purpose=wanted.purpose,
            expires_after_s=None if wanted.expires_after is None else wanted.expires_after.seconds,
        )


async def read_form(call: Call) -> AsyncGenerator[Part, None]:
    """The parts of the request's form, in order. Raises InvalidRequestError."""
    kind, options = parse_options_header(call.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequestError("Expected a multipart/form-data request with a 'file' and a 'purpose'.")
    events = _Events(call, options[b"boundary"])
    while (event := await events.next()) is not None:
        if not isinstance(event, _Head):
            continue  # the rest of a part that nobody wanted
        yield Part(event.name, event.filename, events.data())


@dataclass(frozen=True, slots=True)
class _Head:
    name: str
    filename: str | None


class _End:
    """The end of a part."""


class _Events:
    """What the parser finds, pulled: it is fed a chunk of the request when somebody asks for more."""

    def __init__(self, call: Call, boundary: bytes) -> None:
        self._chunks = _body(call)
        self._found: deque[_Head | bytes | _End] = deque()
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_over = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_head,
            "on_part_data": self._on_data,
            "on_part_end": self._on_end,
            "on_end": self._on_form_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _unreadable(error) from error

    async def next(self) -> _Head | bytes | _End | None:
        """The next thing found, None at the end of the form."""
        while not self._found:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                if not self._is_over:
                    raise _unreadable("it breaks off before its last boundary.")
                return None
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise _unreadable(error) from error
        return self._found.popleft()

    async def data(self) -> AsyncGenerator[bytes, None]:
        """The bytes of the part that has begun."""
        while isinstance(event := await self.next(), bytes):
            yield event

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_head(self) -> None:
        self._found.append(_Head(*_names(self._headers.get(b"content-disposition", b""))))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._found.append(data[start:end])

    def _on_end(self) -> None:
        self._found.append(_End())

    def _on_form_end(self) -> None:
        self._is_over = True


async def _body(call: Call) -> AsyncGenerator[bytes, None]:
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


async def _text(part: Part, *, n_before: int) -> str:
    if n_before == MAX_FIELDS:
        raise InvalidRequestError(f"The form has too many fields: at most {MAX_FIELDS}.")
    text = b""
    async for chunk in part.chunks:
        text += chunk
        if len(text) > MAX_FIELD_BYTES:
            raise InvalidRequestError(f"The field is too long: at most {MAX_FIELD_BYTES} bytes.", param=part.name)
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidRequestError("The field is not valid UTF-8.", param=part.name) from None


def _names(disposition: bytes) -> tuple[str, str | None]:
    """A part's field and file name. The file name is a name: folders are cut off."""
    _, options = parse_options_header(disposition)
    filename: str | None = None
    if b"filename" in options:
        filename = options[b"filename"].decode("utf-8", "replace")
    elif match := _EXTENDED_NAME.search(disposition):  # old clients; the parser refuses to know it
        filename = unquote(match[1].decode("latin-1"))
    if filename is not None:
        filename = filename.rpartition("/")[2]
    return options.get(b"name", b"").decode("utf-8", "replace"), filename


def _unreadable(error: FormParserError | str) -> InvalidRequestError:
    return InvalidRequestError(f"We could not parse the form of your request: {error}")
