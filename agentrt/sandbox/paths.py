"""Which names of files may leave a sandbox, and enter it."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_PATH_BYTES: Final = 200

# What makes a name look like another one (Cf: bidi marks, zero-width), or breaks lines, headers and terminals.
_UNSHOWABLE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_safe_path(path: str) -> bool:
    """Relative, without a way out, and showable: nothing that a shell, a browser or a person could take for more."""
    parts = path.split("/")
    return (
        not any(part in ("", ".", "..") or part.startswith("-") or part != part.strip() for part in parts)
        and "\\" not in path
        # isprintable is quick and a little stricter: only what it refuses need be looked at character by character.
        and (path.isprintable() or not any(unicodedata.category(char) in _UNSHOWABLE for char in path))
        and len(path.encode("utf-8", "surrogatepass")) <= MAX_PATH_BYTES
    )
