"""PDFs made by hand, whole and broken."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_ID = bytes(range(16))
_PERMISSIONS = 0xFFFFFFFC


def pdf(*pages: str, password: str = "", owner: str = "") -> bytes:
    """A PDF with these pages, one line of text for each line; "" is a page without text.

    password: needed to open it; owner: needed to change it only.
    """
    return pdf_of([_text_stream(page) for page in pages], password=password, owner=owner)


def pdf_of(
    streams: Sequence[bytes], *, page_streams: Sequence[int] = (), password: str = "", owner: str = "", extra: str = ""
) -> bytes:
    """A PDF whose pages show these content streams. page_streams: for each page, the index of its stream.

    extra: what stands in the dictionary of each stream (`/Filter /FlateDecode`).
    """
    shown = list(page_streams) or list(range(len(streams)))
    first_page = 4 + len(streams)
    kids = " ".join(f"{first_page + i} 0 R" for i in range(len(shown)))
    lock = _Lock(password, owner) if password or owner else None
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(shown)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, stream in enumerate(streams):
        data = lock.encrypt(stream, 4 + i) if lock else stream
        objects.append(f"<< /Length {len(data)} {extra} >>\nstream\n".encode() + data + b"\nendstream")
    size, fonts = "/MediaBox [0 0 612 792]", "/Resources << /Font << /F1 3 0 R >> >>"
    page = f"<< /Type /Page /Parent 2 0 R {size} /Contents %d 0 R {fonts} >>"
    objects += [(page % (4 + i)).encode() for i in shown]
    return _file(objects, lock.dictionary if lock else "")


def _text_stream(text: str) -> bytes:
    if not text:
        return b""
    lines = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n"))
    shown = b" ".join(b"(" + line.encode("cp1252") + b") Tj T*" for line in lines)
    return b"BT /F1 11 Tf 14 TL 72 720 Td " + shown + b" ET"


def _file(objects: list[bytes], encryption: str) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    xref = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    ident = f"/ID [<{_ID.hex()}> <{_ID.hex()}>]" if encryption else ""
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {encryption} {ident} >>\nstartxref\n{xref}\n%%EOF\n"
    return bytes(out) + trailer.encode()


class _Lock:
    """The standard security handler, revision 2 (RC4 with 40 bits). Source: PDF 1.7 reference, 3.5.2."""

    def __init__(self, password: str, owner: str) -> None:
        user = (password.encode() + _PAD)[:32]
        secret = ((owner or password).encode() + _PAD)[:32]
        o_entry = _rc4(_md5(secret)[:5], user)
        self._key = _md5(user + o_entry + _PERMISSIONS.to_bytes(4, "little") + _ID)[:5]
        u_entry = _rc4(self._key, _PAD)
        self.dictionary = (
            f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{o_entry.hex()}> /U <{u_entry.hex()}> "
            f"/P {_PERMISSIONS - (1 << 32)} >>"
        )

    def encrypt(self, data: bytes, number: int) -> bytes:
        return _rc4(_md5(self._key + number.to_bytes(3, "little") + b"\0\0")[:10], data)


def inflating_pdf(n_bytes: int) -> bytes:
    """A small PDF with a page whose content inflates to n_bytes of spaces."""
    packer = zlib.compressobj(9)
    piece = b" " * (1 << 20)
    packed = b"".join(packer.compress(piece) for _ in range(n_bytes >> 20)) + packer.flush()
    # Packed twice: spaces shrink a thousandfold, and what comes out does so again.
    return pdf_of([zlib.compress(packed, 9)], extra="/Filter [/FlateDecode /FlateDecode]")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
