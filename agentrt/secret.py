"""What must never be shown: the `Secret` wrapper, and finding and masking secrets in text.

Stands at the bottom because the configuration, the log and the API keys must agree on what a secret looks like.
Keys are compared in `agentrt/access`; here they are only hidden.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

MASK: Final = "***"

# Prefixes of well-known vendors, bearer tokens and the password of a URL. Digests and ids must not match.
_SECRET = re.compile(
    r"""
    \bsk-[A-Za-z0-9_-]{16,} | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,}
    | \bxox[abeprs]-[\w-]{10,} | \bAKIA[0-9A-Z]{16}\b | \bAIza[\w-]{30,} | \bhf_[A-Za-z0-9]{20,} | \bgsk_\w{20,}
    | \beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+
    | (?<=Bearer\ )[^\s"',]{8,}
    | (?<=://)[^\s/@"']*:[^\s/@"']+(?=@)
    """,
    re.VERBOSE,
)
# Only the singular: `prompt_tokens` and `keys` are counts.
_SECRET_NAME = re.compile(r"(^|[_-])(api_?key|key|token|secret|password|passwd|authorization|cookie)$", re.IGNORECASE)


class Secret:
    """A text that shows itself only to `reveal()`; str, repr, format and msgspec encoding never print it."""

    __slots__ = ("_shown", "_value")

    def __init__(self, value: str, *, shown: str = MASK) -> None:
        self._value = value
        self._shown = shown

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return self._shown

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)

    def __repr__(self) -> str:
        return f"Secret({self._shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


def hash_key(key: str) -> str:
    """The form in which a key may be written down: `sha256:` + 64 hex digits.

    No salt and no stretching: keys are random (`access.new_key`), and every request pays for this.
    """
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def mask_key(key: str) -> str:
    """Enough of a key to recognise it, `sk-…abcd`; nothing of one that is short enough to guess the rest."""
    return f"{key[:3]}…{key[-4:]}" if len(key) >= 16 else MASK


def looks_like_secret(text: str) -> bool:
    """Whether the text holds something shaped like a vendor's key, a bearer token or a URL with a password."""
    return _SECRET.search(text) is not None


def is_secret_name(name: str) -> bool:
    """Whether a key or header of this name usually holds a secret: `api_key`, `x-token`, `Authorization`."""
    return _SECRET_NAME.search(name) is not None


def redact(text: str, *, keep_length: bool = False) -> str:
    """The text with everything that `looks_like_secret` masked. keep_length: columns stay where they were."""
    return _SECRET.sub(lambda match: "*" * len(match[0]) if keep_length else MASK, text)
