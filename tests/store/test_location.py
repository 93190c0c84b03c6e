from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.errors import StoreError
from agentrt.store.location import locate


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite:///agentrt.db", Path("agentrt.db")),
        ("sqlite:///.agentrt/agentrt.db", Path(".agentrt/agentrt.db")),
        ("sqlite:////var/lib/agentrt.db", Path("/var/lib/agentrt.db")),
        ("sqlite:///with space/50%.db", Path("with space/50%.db")),
        ("postgresql://ada:secret@db/agentrt", "postgresql://ada:secret@db/agentrt"),
        ("postgres:///agentrt?host=/run/postgresql", "postgres:///agentrt?host=/run/postgresql"),
    ],
)
def test_a_url_names_a_file_or_a_database(url: str, place: Path | str) -> None:
    assert locate(url) == place


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "names no file"),
        ("agentrt.db", "is not a kind of database"),
        ("mysql://root:secret@db/x", "mysql: is not a kind of database"),
        ("sqlite+aiosqlite:///agentrt.db", "sqlite+aiosqlite: is not a kind of database"),
        ("sqlite://agentrt.db", "is not a kind of database"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///agentrt.db?mode=ro", "takes no options"),
    ],
)
def test_a_url_that_names_neither_is_an_error_that_shows_no_password(url: str, says: str) -> None:
    with pytest.raises(StoreError) as caught:
        locate(url)
    assert says in str(caught.value)
    assert "fix:" in str(caught.value)
    assert "secret" not in str(caught.value)
