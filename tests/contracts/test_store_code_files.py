"""Which assistants and threads name a file is known without reading them all."""

from __future__ import annotations

from agentrt.engine.message import JsonObject
from agentrt.store.assistants import delete_assistant, find_assistant, insert_assistant, update_assistant
from agentrt.store.code_files import ASSISTANTS, THREADS
from agentrt.store.database import Store, Tx
from agentrt.store.threads import delete_thread, find_thread, update_thread
from agentrt.store.tool_resources import forget_code_file, is_listed_by_assistant
from tests.contracts.rows import HOME, an_assistant, put_thread


def naming(*file_ids: str, stores: tuple[str, ...] = ()) -> JsonObject:
    return {
        "code_interpreter": {"file_ids": [*file_ids]},
        "file_search": {"vector_store_ids": [*stores]},
    }


async def test_the_index_follows_what_is_written(store: Store) -> None:
    def write(tx: Tx) -> list[list[str]]:
        one = put_thread(tx, tool_resources=naming("file-a", "file-b"))
        two = put_thread(tx, tool_resources=naming("file-a"))
        put_thread(tx)
        seen = [THREADS.owners(tx, name) for name in ("file-a", "file-b")]
        update_thread(tx, one.id, {"tool_resources": naming("file-b", "file-c")})
        update_thread(tx, two.id, {"meta": {"a": "b"}})
        seen += [THREADS.owners(tx, name) for name in ("file-a", "file-b", "file-c")]
        delete_thread(tx, one.id)
        seen.append(THREADS.owners(tx, "file-b"))
        assert seen == [sorted([one.id, two.id]), [one.id], [two.id], [one.id], [one.id], []]
        return seen

    await store.write(write)


async def test_a_file_is_taken_from_all_lists_and_nothing_else_is(store: Store) -> None:
    def write(tx: Tx) -> None:
        assistant = an_assistant(tool_resources=naming("file-a", "file-b", stores=("vs_1",)))
        insert_assistant(tx, assistant)
        thread = put_thread(tx, tool_resources=naming("file-b", "file-a", "file-c"))
        other = put_thread(tx, project="other", tool_resources=naming("file-aa"))
        forget_code_file(tx, "file-a")
        assert find_assistant(tx, HOME, assistant.id).tool_resources == naming("file-b", stores=("vs_1",))
        assert find_thread(tx, HOME, thread.id).tool_resources == naming("file-b", "file-c")
        assert find_thread(tx, "other", other.id).tool_resources == naming("file-aa")
        assert (THREADS.owners(tx, "file-a"), ASSISTANTS.owners(tx, "file-a")) == ([], [])

    await store.write(write)


async def test_a_file_is_listed_by_an_assistant_as_long_as_one_lists_it(store: Store) -> None:
    def write(tx: Tx) -> None:
        one, two = (an_assistant(tool_resources=naming("file-a")) for _ in range(2))
        insert_assistant(tx, one)
        insert_assistant(tx, two)
        update_assistant(tx, one.id, {"tool_resources": {}})
        assert is_listed_by_assistant(tx, "file-a")
        delete_assistant(tx, two.id)
        assert not is_listed_by_assistant(tx, "file-a")

    await store.write(write)
