"""What a database URL names: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from agentrt.errors import StoreError

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")
_EXAMPLES = "write sqlite:///agentrt.db, sqlite:////var/lib/agentrt.db or postgresql://user:password@host/name"


def locate(url: str) -> Path | str:
    """The path of a `sqlite:///relative` or `sqlite:////absolute` URL; a `postgresql://…` URL as it is.

    Raises StoreError for anything else.
    """
    if url.startswith(_POSTGRES):
        return url
    path = url.removeprefix(_SQLITE)
    if path in ("", ":memory:") or url in ("sqlite:", "sqlite://"):
        raise _bad("it names no file", "a database in memory would be gone with the process; use a file in /tmp")
    if path == url:
        raise _bad(f"{url.partition(':')[0]}: is not a kind of database that agentrt knows", _EXAMPLES)
    if "?" in path:
        raise _bad("a SQLite URL takes no options", f"leave out {path[path.index('?') :]}")
    return Path(path)


def _bad(why: str, fix: str) -> StoreError:
    # The URL itself is not shown: it may hold a password.
    return StoreError(f"The database URL cannot be used\n  why: {why}\n  fix: {fix}")
