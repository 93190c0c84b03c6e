"""What PostgreSQL's and asyncpg's errors mean: does it pass, and what can a person do about it.

By SQLSTATE or class, never by text: messages are translated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy.exc import DBAPIError

from agentrt.errors import StoreError

# Connection lost, idle for too long in a transaction, serialisation or deadlock, shutting down or starting up, too many
# connections.
_PASSING = ("08", "25P03", "40", "57P0", "53300")
_INVALID_STATEMENT = "0A000"  # "cached plan must not change result type": somebody migrated; a new connection helps

# By the beginning of the SQLSTATE: what is wrong, and what a person can do. The longest one counts.
_TROUBLES = {
    "25006": ("the server takes no writes", "name the primary server, not a replica"),
    "28": ("the server refuses the user or the password", "check user and password in the URL"),
    "3D000": ("there is no such database", "make it with: createdb NAME"),
    "42501": ("the user may not do this", "grant it CREATE on the schema, or make it the owner of the database"),
    "53": ("the server is out of resources", "see the server's log"),
    "53100": ("the server's disk is full", "free some space on the server; what was acknowledged is safe"),
    "53300": ("the server has no connection left", "raise its max_connections, or end other clients"),
    "57014": ("a statement took too long", "see what it waits for: SELECT * FROM pg_stat_activity"),
    "57P0": ("the server is starting or shutting down", "wait for it, and see its log"),
    "58": ("the server has trouble with its disk", "see the server's log"),
    "XX": ("the server found damaged data", "see the server's log"),
}


_UNREACHABLE = ("the server cannot be reached", "start it, or check host and port in the URL")
_BAD_URL = ("the URL cannot be used", "write postgresql://user:password@host:5432/name")


def sqlstate(error: BaseException) -> str:
    """The server's code of five characters; empty when the server did not say one."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")


def is_passing(error: BaseException) -> bool:
    """The same again on a new connection may work."""
    if isinstance(error, OSError):  # refused, reset, unresolved, timed out
        return True
    state = sqlstate(error)
    if state:
        return state.startswith(_PASSING) or state == _INVALID_STATEMENT
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    # asyncpg speaks of a lost connection in its own classes; those for bad arguments are ValueErrors too.
    return type(cause).__module__.startswith("asyncpg") and not isinstance(cause, ValueError | TypeError)


def is_fatal(error: BaseException) -> bool:
    """Retrying does not help, and it is not the fault of the statement."""
    return _trouble(error) is not None


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns what connecting to `url` and working there may raise into StoreError."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        if is_passing(error) or is_fatal(error) or isinstance(error, ValueError):  # ValueError: asyncpg, of the URL
            raise store_error(error, url) from error
        raise


def store_error(error: BaseException, url: str) -> StoreError:
    """What went wrong, in three lines: what, why, what to do."""
    what, fix = _trouble(error) or (_BAD_URL if isinstance(error, ValueError) else _UNREACHABLE)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    why = str(cause).partition("\n")[0] or type(cause).__name__
    return StoreError(f"Database {shown_url(url)}: {what}\n  why: {why}\n  fix: {fix}")


def _trouble(error: BaseException) -> tuple[str, str] | None:
    state = sqlstate(error)
    return next((_TROUBLES[state[:n]] for n in (5, 4, 2) if state[:n] in _TROUBLES), None) if state else None


def shown_url(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))
