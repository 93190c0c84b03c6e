"""Pages of threads beside a plain list that says what they should be, whatever is made and deleted in between."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from agentrt.errors import NotFoundError
from agentrt.store.database import Tx
from agentrt.store.pages import PageQuery
from agentrt.store.revisions import create_tables
from agentrt.store.sqlite import create_file, sqlite_engine
from agentrt.store.threads import Thread, delete_thread, list_threads, update_thread
from tests.contracts.rows import HOME, put_thread

Order = Literal["asc", "desc"]


class ThreadPages(RuleBasedStateMachine):
    """`made` holds every thread of the project in the order of creation, `alive` the ids of those still there."""

    threads = Bundle("threads")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "agentrt.db"
        create_file(path)
        self.engine = sqlite_engine(path)
        self.conn = self.engine.connect()
        self.conn.exec_driver_sql("BEGIN")  # and never committed: nobody waits for a disk
        create_tables(self.conn)
        self.made: list[Thread] = []
        self.alive: set[str] = set()

    @initialize(target=threads)
    def make_the_first(self) -> Thread:
        return self.made_with("x")

    @rule(target=threads, tag=st.sampled_from("xy"))
    def make(self, tag: str) -> Thread:
        return self.made_with(tag)

    def made_with(self, tag: str) -> Thread:
        # Many of them share a second, because they are made in one.
        thread = put_thread(Tx(self.conn), meta={"tag": tag})
        self.made.append(thread)
        self.alive.add(thread.id)
        return thread

    @rule()
    def make_in_another_project(self) -> None:
        put_thread(Tx(self.conn), project="other", meta={"tag": "x"})

    @rule(thread=threads)
    def delete(self, thread: Thread) -> None:
        delete_thread(Tx(self.conn), thread.id)
        self.alive.discard(thread.id)

    @rule(thread=threads, tag=st.sampled_from("xy"))
    def tag(self, thread: Thread, tag: str) -> None:
        update_thread(Tx(self.conn), thread.id, {"meta": {"tag": tag}})
        thread.meta = {"tag": tag}

    @rule(
        after=st.none() | threads,
        before=st.none() | threads,
        order=st.sampled_from(["asc", "desc"]),
        limit=st.integers(1, 6),
        tag=st.sampled_from(["x", None]),
    )
    def page(self, after: Thread | None, before: Thread | None, order: Order, limit: int, tag: str | None) -> None:
        after_id, before_id = (None if t is None else t.id for t in (after, before))
        query = PageQuery(limit=limit, order=order, after=after_id, before=before_id)
        metadata = None if tag is None else {"tag": tag}
        strangers = [t for t in (after, before) if t and t.id in self.alive and tag and t.meta["tag"] != tag]
        if strangers:
            with pytest.raises(NotFoundError):
                list_threads(Tx(self.conn), HOME, query, metadata=metadata)
            return
        page = list_threads(Tx(self.conn), HOME, query, metadata=metadata)
        in_order = self.made if order == "asc" else self.made[::-1]
        places = {thread.id: place for place, thread in enumerate(in_order)}
        between = [
            thread.id
            for thread in in_order
            if thread.id in self.alive
            and (tag is None or thread.meta["tag"] == tag)
            and (after is None or places[thread.id] > places[after.id])
            and (before is None or places[thread.id] < places[before.id])
        ]
        nearest = between[-limit:] if before is not None and after is None else between[:limit]
        assert [thread.id for thread in page.items] == nearest
        assert page.has_more == (len(between) > limit)

    def teardown(self) -> None:
        self.conn.close()
        self.engine.dispose()
        self.folder.cleanup()


TestThreadPages = ThreadPages.TestCase
TestThreadPages.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
