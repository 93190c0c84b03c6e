"""Records and statements, where a database is not needed to see whether they are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import Field, SQLModel

from agentrt.store import assistants, threads
from agentrt.store.database import Record, Tx, dump_json, load_json
from agentrt.store.records import fetch_all
from agentrt.store.schema import TABLE_MODULES, metadata
from agentrt.store.sqlite import sqlite_engine
from agentrt.store.statements import Statement
from tests.contracts.rows import HOME, put_thread


def test_a_record_from_a_row_is_what_pydantic_would_have_made_of_it(sqlite_path: Path) -> None:
    engine = sqlite_engine(sqlite_path)
    with engine.connect() as conn:
        tx = Tx(conn)
        made = put_thread(tx, meta={"a": "b"})
        table = threads.ThreadTable.__table__  # type: ignore[attr-defined]
        (found,) = fetch_all(tx, Statement(table.select()), threads.Thread, {})
    engine.dispose()
    constructed = threads.Thread.model_construct(**made.model_dump())
    assert found == constructed == made
    assert found.model_fields_set == constructed.model_fields_set
    assert found.model_dump_json() == constructed.model_dump_json()
    assert found.model_copy(update={"on_busy": "reject"}).on_busy == "reject"
    found.next_pos = 7
    assert (found.next_pos, found.project) == (7, HOME)


def test_the_application_around_us_may_have_tables_of_the_same_names() -> None:
    class Message(SQLModel, table=True):
        id: int | None = Field(default=None, primary_key=True)

    assert Message.metadata is not Record.metadata
    assert not Message.metadata.naming_convention.keys() & {"pk", "fk"}


def test_every_module_with_tables_is_known_to_the_schema() -> None:
    folder = Path(assistants.__file__).parent
    with_tables = {path.stem for path in folder.glob("*.py") if ", table=True)" in path.read_text()}
    assert with_tables == set(TABLE_MODULES)
    assert len(metadata().tables) == sum(
        (folder / f"{name}.py").read_text().count(", table=True)") for name in TABLE_MODULES
    )


def test_every_index_on_a_condition_has_it_on_both_engines() -> None:
    for table in metadata().tables.values():
        for index in table.indexes:
            on_sqlite, on_postgres = (index.dialect_options[name]["where"] for name in ("sqlite", "postgresql"))
            assert str(on_sqlite) == str(on_postgres)


@pytest.mark.parametrize("value", [None, True, 1, -1.5, "x", "\0", [], {}, {"b": [1, {"a": None}]}, 2**53, 2**63])
def test_json_comes_back_as_it_was(value: object) -> None:
    assert load_json(dump_json(value)) == value
