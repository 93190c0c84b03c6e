"""A stored file as an HTTP answer: which part of it is asked for, and the headers that go with it (RFC 9110)."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from email.utils import formatdate
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from agentrt.server.endpoint import Call
from agentrt.store.files import File

OCTETS: Final = "application/octet-stream"
ANY_TYPE: Final = "*/*"
"""What a download is announced as: it has the type of its file."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# Python's own table, not the machine's: the same file has the same type everywhere.
_PYTHONS = mimetypes.MimeTypes().types_map[True]
_OFFICE = "application/vnd.openxmlformats-officedocument"
_TYPES = {
    ".c": "text/x-c",
    ".cpp": "text/x-c++",
    ".cs": "text/x-csharp",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".go": "text/x-golang",
    ".java": "text/x-java",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".php": "text/x-php",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".rb": "text/x-ruby",
    ".tex": "text/x-tex",
    ".toml": "application/toml",
    ".ts": "application/typescript",
    ".webp": "image/webp",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


async def answer_content(call: Call, file: File) -> Response:
    """The file, or the part of it that the request asks for. Raises UnavailableError when its bytes are gone."""
    tag = f'"{file.sha256}"'
    changed = formatdate(file.created_at, usegmt=True)
    headers = {
        "accept-ranges": "bytes",
        # Never shown in a browser on this origin, whatever was uploaded.
        "content-disposition": f"attachment; filename*=utf-8''{quote(file.filename, safe='')}",
        "content-security-policy": "sandbox",
        "x-content-type-options": "nosniff",
        "etag": tag,
        "last-modified": changed,
    }
    if _names(call.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    asked = call.headers.get("range")
    if call.headers.get("if-range", tag) not in (tag, changed):
        asked = None  # a part of what the caller has no longer fits: it gets all
    span = find_span(asked, file.size_bytes) if asked is not None else None
    if span == (0, 0):
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{file.size_bytes}"})
    start, stop = span or (0, file.size_bytes)
    headers["content-length"] = str(stop - start)
    if span is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    return await _answer(call, file, start, stop, status=200 if span is None else 206, headers=headers)


def find_span(header: str, size_bytes: int) -> tuple[int, int] | None:
    """What a Range header asks for, as (start, stop); (0, 0) when the file has nothing there.

    None, all of it: several ranges, or none that can be read, as RFC 9110 allows.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    first, last = match[1], match[2]
    if first and last and int(last) < int(first):
        return None
    if first == "":
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
    return (start, stop) if start < stop else (0, 0)


def media_type_of(file: File) -> str:
    """What the uploader said it is, else what its name says."""
    if file.media_type is not None:
        return file.media_type
    suffix = PurePosixPath(file.filename).suffix.lower()
    return _TYPES.get(suffix) or _PYTHONS.get(suffix) or OCTETS


async def _answer(
    call: Call, file: File, start: int, stop: int, *, status: int, headers: Mapping[str, str]
) -> Response:
    content = await call.runtime.files.content(file, start=start, stop=stop)
    # A header, not Starlette's media_type, which would claim that every text is UTF-8.
    headers = {**headers, "content-type": media_type_of(file)}
    if call.method == "HEAD":
        await content.aclose()
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_closing(content), status_code=status, headers=headers)


async def _closing(content: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(content):
        async for piece in content:
            yield piece


def _names(header: str, tag: str) -> bool:
    """Whether If-None-Match names the file as it is."""
    return header.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in header.split(","))
