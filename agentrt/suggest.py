"""Words for errors: the name that was probably meant, and lists of names."""

from __future__ import annotations

from collections.abc import Iterable


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that word is most like, None if nothing is near."""
    import difflib  # only errors need it

    by_lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def listed(names: Iterable[str], *, last: str = "or") -> str:
    """`a, b or c`; an empty text for no names."""
    *first, end = list(names) or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def quoted(names: Iterable[str], *, last: str = "or") -> str:
    """`"a", "b" or "c"`"""
    return listed((f'"{name}"' for name in names), last=last)


def did_you_mean(word: str, names: Iterable[str], *, otherwise: str) -> str:
    """The advice for a word that is none of names."""
    names = list(names)
    guess = closest(word, names)
    return f'did you mean "{guess}"?' if guess else otherwise


def perhaps(word: str, names: Iterable[str]) -> str:
    """`Did you mean 'city'? ` with a space behind it, or "" when nothing is close: to stand before other advice."""
    guess = closest(word, names)
    return f"Did you mean '{guess}'? " if guess else ""
