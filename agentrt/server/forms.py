"""Multipart forms, read as they arrive: a file's bytes go to the disk in pieces and are never all in memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from agentrt.errors import InvalidRequestError
from agentrt.files.blobs import Received
from agentrt.runtime.storage import too_large
from agentrt.runtime.uploads import MAX_PART_BYTES
from agentrt.server.endpoint import Call
from agentrt.store.files import File
from agentrt.store.uploads import UploadPart
from agentrt.wire.files import read_file_form
from agentrt.wire.uploads import check_part_form

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024

_EXTENDED_NAME = re.compile(rb"""filename\*=utf-8''([^;\s]+)""", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}", re.ASCII)
_NOT_DEFINITE = {"application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}
_ENVELOPE_BYTES = 1024 * 1024  # what boundaries, headers and the other fields may add to a file


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form; filename is None for a text. Its bytes must be read before the next part is asked for.

    media_type: what the sender says it is, without parameters; None = nothing, or nothing definite.
    """

    name: str
    filename: str | None
    media_type: str | None
    chunks: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Form:
    """A form that has come in whole. received: the bytes of its file, which go if they are not kept; None without one.

    file: its part, of which the bytes have been read.
    """

    fields: Sequence[tuple[str, str]]
    file: Part | None
    received: Received | None


_Receive: TypeAlias = Callable[[AsyncIterable[bytes]], AbstractAsyncContextManager[Received]]


async def receive_file(call: Call) -> File:
    """Store the file of an upload form. Raises InvalidRequestError, RequestTooLargeError, UnavailableError."""
    files = call.runtime.files
    if call.announced_bytes > files.max_bytes + _ENVELOPE_BYTES:
        raise too_large(files.max_bytes, what="file", param="file")
    async with _open_form(call, "file", files.receive) as form:
        filename = None if form.file is None else form.file.filename
        wanted = read_file_form(
            form.fields, filename=filename, unknown_fields=call.runtime.config.server.unknown_fields
        )
        assert form.received is not None  # a form without a file was refused
        assert form.file is not None
        return await files.keep(
            call.project,
            form.received,
            filename=filename or "",
            purpose=wanted.purpose,
            expires_after_s=None if wanted.expires_after is None else wanted.expires_after.seconds,
            media_type=form.file.media_type,
        )


async def receive_part(call: Call, upload_id: str) -> UploadPart:
    """Store the data of a part's form. Raises NotFoundError and as receive_file does."""
    uploads = call.runtime.uploads
    await uploads.check_open(call.project, upload_id)  # not after 64 MB
    if call.announced_bytes > MAX_PART_BYTES + _ENVELOPE_BYTES:
        raise too_large(MAX_PART_BYTES, what="part", param="data")
    async with _open_form(call, "data", uploads.receive, is_named=False) as form:
        names = [name for name, _ in form.fields]
        unknown_fields = call.runtime.config.server.unknown_fields
        check_part_form(names, has_data=form.received is not None, unknown_fields=unknown_fields)
        assert form.received is not None
        return await uploads.add(call.project, upload_id, form.received)


@asynccontextmanager
async def _open_form(
    call: Call, file_field: str, receive: _Receive, *, is_named: bool = True
) -> AsyncGenerator[Form, None]:
    """Read the whole form, the bytes of one field as they come. is_named: a field without a file name is a text."""
    fields: list[tuple[str, str]] = []
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(aclosing(read_form(call)))
        file: Part | None = None
        received: Received | None = None
        async for part in parts:
            if part.name != file_field or (is_named and part.filename is None):
                fields.append((part.name, await _text(part, n_before=len(fields))))
                continue
            if received is not None:
                raise InvalidRequestError("Only one file can be uploaded at a time.", param=file_field)
            file, received = part, await stack.enter_async_context(receive(part.chunks))
        yield Form(fields, file, received)


async def read_form(call: Call) -> AsyncGenerator[Part, None]:
    """The parts of the request's form, in order. Raises InvalidRequestError."""
    kind, options = parse_options_header(call.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        got = kind.decode("latin-1") or "none"
        raise InvalidRequestError(
            f"Expected a multipart/form-data request with a boundary; its Content-Type is: {got}."
        )
    events = _Events(call, options[b"boundary"])
    while (event := await events.next()) is not None:
        if not isinstance(event, _Head):
            continue  # the rest of a part that nobody wanted
        yield Part(event.name, event.filename, event.media_type, events.data())


@dataclass(frozen=True, slots=True)
class _Head:
    name: str
    filename: str | None
    media_type: str | None


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
        name, filename = _names(self._headers.get(b"content-disposition", b""))
        self._found.append(_Head(name, filename, _media_type(self._headers.get(b"content-type", b""))))

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


def _media_type(header: bytes) -> str | None:
    text = header.decode("latin-1").partition(";")[0].strip().lower()
    return text if _MEDIA_TYPE.fullmatch(text) and text not in _NOT_DEFINITE else None


def _unreadable(error: FormParserError | str) -> InvalidRequestError:
    return InvalidRequestError(f"We could not parse the form of your request: {error}")
