"""Bytes → text. Certain first (a mark at the beginning, valid UTF-8, the pattern of zeros), guesses last."""

from __future__ import annotations

import codecs
import re

from agentrt.errors import ExtractionError
from agentrt.files.formats.legacy import guess_codec
from agentrt.files.formats.sniff import has_control_characters

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_BYTES = 1 << 16
_HALF_PAIR = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
# In UTF-8 with a damaged place or two, whole sequences are far more than broken ones.
_WHOLE_PER_BROKEN = 10
_WHOLE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def decode(data: bytes, *, declared: str | None = None) -> str:
    """The text of a file.

    declared: the encoding that the file itself names (HTML, mail); believed after a mark and valid UTF-8.
    Raises ExtractionError: `invalid_file` for half surrogate pairs, `unsupported_file` for what is no text.
    """
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return _checked(_strictly(data[len(mark) :], codec))
    wide = _wide_codec(data[:_SAMPLE_BYTES])
    if wide is not None:
        return _checked(_strictly(data, wide))
    try:
        return _checked(data.decode())
    except UnicodeDecodeError as error:
        return _checked(_not_utf8(data, error, declared))


def _not_utf8(data: bytes, error: UnicodeDecodeError, declared: str | None) -> str:
    if _HALF_PAIR.match(data, error.start):
        raise _half_pair(error.start)
    n_broken = data.decode(errors="replace").count("\ufffd")
    if len(_WHOLE.findall(data)) >= n_broken * _WHOLE_PER_BROKEN:
        return data.decode(errors="replace")
    if declared is not None:
        try:
            return data.decode(declared)
        except (LookupError, ValueError):  # it names nothing, or the wrong one
            pass
    codec = guess_codec(data[:_SAMPLE_BYTES], is_wide=has_control_characters(data[:_SAMPLE_BYTES]))
    if codec is None:
        raise _no_text() if has_control_characters(data) else _unknown_encoding()
    return data.decode(codec, errors="replace")


def _strictly(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if "surrogate" in error.reason or "code point" in error.reason:
            raise _half_pair(error.start) from None
        # Cut off in the middle of a character: the rest of it is fine.
        return data.decode(codec, errors="replace")


def _wide_codec(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, known by where the zeros are: Latin letters, spaces and line ends have them."""
    if b"\0" not in sample:
        return None
    zeros = [sample[i::4].count(0) * 4 / len(sample) for i in range(4)]
    if zeros[3] > 0.95 and zeros[2] > 0.9:
        return "utf-32-le"
    if zeros[0] > 0.95 and zeros[1] > 0.9:
        return "utf-32-be"
    even, odd = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    if odd > 0.08 and even < 0.01:
        return "utf-16-le"
    if even > 0.08 and odd < 0.01:
        return "utf-16-be"
    return None


def _checked(text: str) -> str:
    if has_control_characters(text):
        raise _no_text()
    return text


def _no_text() -> ExtractionError:
    return ExtractionError(
        "unsupported_file",
        "The file is binary data of a kind that is not known here, not text. Upload it as PDF, docx or plain text.",
    )


def _unknown_encoding() -> ExtractionError:
    return ExtractionError(
        "unsupported_file",
        "The file's text is neither UTF-8 nor UTF-16, and what it is cannot be told for certain. Save it as UTF-8.",
    )


def _half_pair(offset: int) -> ExtractionError:
    return ExtractionError(
        "invalid_file",
        f"The file's text is not valid Unicode: at byte {offset} it has half of a surrogate pair. Save it as UTF-8.",
    )
