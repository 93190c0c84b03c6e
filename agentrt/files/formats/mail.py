"""Mail (.eml): who wrote what to whom, the text, and what is attached, by name only.

The old policy of the email package (`compat32`) on purpose: the new one's parser of headers fails on odd ones.
"""

from __future__ import annotations

from contextlib import suppress
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from typing import TypeAlias

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.decode import decode
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.html import text_of_html

_Part: TypeAlias = "Message[str, str]"
_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_BODIES = ("text/plain", "text/html")


def read_mail(data: bytes, draft: Draft) -> Extracted:
    """The headers that people read, and the body: its plain text, or else its HTML as text. Raises ExtractionError."""
    message = message_from_bytes(data)
    if not any(name in message for name in _SHOWN):
        raise ExtractionError(
            "invalid_file", "The file is named .eml and is no mail: it has no headers. Save the message anew."
        )
    for name in _SHOWN:
        if value := _readable(message.get(name, "")):
            draft.add(f"{name}: {value}\n")
    draft.add("\n")
    parts = [part for part in message.walk() if not part.is_multipart()]
    body = next((part for kind in _BODIES for part in parts if _is_body(part, kind)), None)
    if body is not None:
        draft.add(_text(body))
    attached = [_name(part) for part in parts if part is not body and not any(_is_body(part, kind) for kind in _BODIES)]
    if attached:
        draft.add("\n\nAttachments: " + ", ".join(attached) + "\n")
    return draft.finish("eml")


def _is_body(part: _Part, kind: str) -> bool:
    return part.get_content_type() == kind and part.get_content_disposition() != "attachment"


def _name(part: _Part) -> str:
    return _readable(part.get_filename() or "") or part.get_content_type()


def _readable(value: object) -> str:
    """A header on one line, its encoded words as letters."""
    text = str(value)
    with suppress(LookupError, ValueError, MessageError):  # else it stays as it is
        text = str(make_header(decode_header(text)))
    return " ".join(text.split())


def _text(part: _Part) -> str:
    payload = part.get_payload(decode=True)
    text = decode(payload, declared=part.get_content_charset()) if isinstance(payload, bytes) and payload else ""
    return text_of_html(text) if part.get_content_subtype() == "html" else text.replace("\r\n", "\n")
