"""code_interpreter in a run: what stands in its folder, what it shows, what it keeps. The code is not isolated here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt.engine import events as ev
from agentrt.engine.message import CodeShown, Image, Logs
from agentrt.engine.spec import CodeInterpreterTool
from agentrt.testing.scripts import raw_call, text
from tests.runtime.code_interpreter.coding import LOCAL, PICTURE, Coder, calls, drop_sandbox, open_coder, thread
from tests.runtime.conftest import World

Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
async def coder(open_world: Open) -> AsyncIterator[Coder]:
    async with open_coder(open_world) as opened:
        yield opened


# What code is given ------------------------------------------------------------------------------------------------


async def test_files_of_the_thread_and_of_messages_stand_there_under_their_names(coder: Coder) -> None:
    first, second = await coder.upload("sales.csv", "a\n1\n"), await coder.upload("žluť 日本.txt", b"\xff\x00")
    thread_id = await thread(coder, file_ids=(first,))
    await coder.say(thread_id, "And this", second)
    told = await coder.run(thread_id, "import os\nprint(sorted(os.listdir()), open('žluť 日本.txt', 'rb').read())")

    assert told.shown.outputs == (Logs("['sales.csv', 'žluť 日本.txt'] b'\\xff\\x00'\n"),)
    assert "Files in the folder now: sales.csv, žluť 日本.txt." in coder.offered()
    assert told.shown.files == ()  # what was given is not given back

    third = await coder.upload("more.csv", "b\n")
    await coder.say(thread_id, "One more", third)
    told = await coder.run(thread_id, "print(open('more.csv').read(), sorted(os.listdir()))")
    assert told.result.output.startswith("b\n ['more.csv', 'sales.csv'")


async def test_two_files_of_one_name_get_places_of_their_own_and_the_model_is_told(coder: Coder) -> None:
    ids = [await coder.upload("data.csv", str(n)) for n in range(3)]
    thread_id = await thread(coder, file_ids=(ids[0], ids[1], ids[0]))
    await coder.run(thread_id, "open('data-3.csv', 'w').write('mine')")
    await coder.say(thread_id, "Third", ids[2])
    told = await coder.run(thread_id, "import os\nprint({name: open(name).read() for name in sorted(os.listdir())})")

    assert told.result.output == "{'data-2.csv': '1', 'data-3.csv': 'mine', 'data-4.csv': '2', 'data.csv': '0'}"
    assert "data-2.csv (called data.csv by the user)" in coder.offered()
    assert "data-4.csv (called data.csv by the user)" in coder.offered()


async def test_a_name_that_cannot_be_a_path_is_made_one(coder: Coder) -> None:
    names = ["../../etc/passwd", "-rf", "a\u202eb.txt", "\n", "x" * 300 + ".csv"]
    thread_id = await thread(coder, file_ids=tuple([await coder.upload(name, "x") for name in names]))
    told = await coder.run(thread_id, "import os\nsorted(os.listdir())")

    assert told.result.output == repr(sorted(["passwd", "rf", "ab.txt", "file", "x" * 176 + ".csv"]))


async def test_a_file_that_was_deleted_is_taken_out_of_the_folder(coder: Coder) -> None:
    secret = await coder.upload("secret.txt", "psst")
    thread_id = await thread(coder, file_ids=(secret,))
    await coder.run(thread_id, "import os\nos.listdir()")
    await coder.world.runtime.files.delete(coder.world.project, secret)
    told = await coder.run(thread_id, "os.listdir()")

    assert told.result.output == "[]"
    assert "secret" not in coder.offered()


async def test_a_file_that_is_too_large_is_named_to_the_model(open_world: Open) -> None:
    async with open_coder(open_world, extra=LOCAL + 'disk = "1MB"\n') as coder:
        thread_id = await thread(coder, file_ids=(await coder.upload("big.bin", b"x" * 2_000_000),))
        told = await coder.run(thread_id, "import os\nos.listdir()")

        assert told.result.output == "[]\n[big.bin (2,000,000 bytes) is not in the folder: it holds 1,048,576 bytes.]"


# What code shows ---------------------------------------------------------------------------------------------------


async def test_what_is_printed_is_told_while_the_code_runs(coder: Coder, tmp_path: Path) -> None:
    signal = tmp_path / "go"
    coder.model.add(
        calls(
            f"import os, time\nprint('before')\nwhile not os.path.exists({str(signal)!r}): time.sleep(0.01)\n'after'"
        ),
        text("Done."),
    )
    run = await coder.world.run(await thread(coder), tools=(CodeInterpreterTool(),))
    seen: list[ev.Event] = []
    async with asyncio.timeout(20):
        async for burst in coder.world.runtime.runs.follow(run.spec.id):
            seen += [numbered.event for numbered in burst]
            if any(isinstance(event, ev.CallOutput) for event in seen):
                signal.touch()

    pieces = [event.output for event in seen if isinstance(event, ev.CallOutput)]
    assert pieces == [Logs("before\n"), Logs("'after'")]
    (returned,) = [event for event in seen if isinstance(event, ev.CallReturned)]
    assert isinstance(returned.result.shown, CodeShown)
    assert returned.result.shown.outputs == (Logs("before\n'after'"),)


async def test_variables_live_from_run_to_run_and_only_in_their_thread(coder: Coder) -> None:
    mine, other = await thread(coder), await thread(coder)
    await coder.run(mine, "x = 41", "x += 1")
    assert (await coder.run(mine, "x")).result.output == "42"
    assert "NameError" in (await coder.run(other, "x")).result.output


async def test_an_exception_is_a_log_that_the_model_reads(coder: Coder) -> None:
    told = await coder.run(await thread(coder), "print('so far', end='')\n1 / 0")

    (log,) = told.shown.outputs
    assert isinstance(log, Logs)
    assert log.text.startswith("so far\nTraceback (most recent call last)")
    assert log.text.endswith("ZeroDivisionError: division by zero")
    assert (told.result.output, told.result.error) == (log.text, "error")
    assert told.run.status == "completed"


async def test_of_too_much_output_the_middle_is_cut_out(open_world: Open) -> None:
    extra = LOCAL + '[runtime.limits]\nmax_tool_output = "4KB"\n'
    async with open_coder(open_world, extra=extra) as coder:
        told = await coder.run(await thread(coder), "print('a' * 3000 + 'b' * 3000 + 'c' * 3000)\n'the end'")

        (log,) = told.shown.outputs
        assert isinstance(log, Logs)
        head, note, tail = log.text.split("\n", 2)
        assert (head, note) == ("a" * 2048, "[… 4,914 bytes cut out …]")
        assert tail.endswith("ccc\n'the end'")
        assert told.result.output == log.text
        streamed = "".join(
            e.output.text for e in told.events if isinstance(e, ev.CallOutput) and isinstance(e.output, Logs)
        )
        assert streamed == log.text


async def test_an_image_is_an_output_of_the_step_and_a_part_of_the_message(coder: Coder) -> None:
    code = PICTURE + "print('before')\nPicture()"
    told = await coder.run(await thread(coder), code, answer="Look.")

    log, image = told.shown.outputs[:2]
    assert isinstance(log, Logs)
    assert log.text == "before\n"
    assert isinstance(image, Image)
    assert told.images == [image.file_id]
    file = await coder.file(image.file_id)
    assert (file.filename, file.purpose) == ("image-1.png", "assistants_output")
    assert (await coder.content(image.file_id)).startswith(b"\x89PNG")
    assert told.result.output.endswith("[1 image is shown to the user with the answer.]")


async def test_code_that_prints_nothing_says_so_to_the_model_only(coder: Coder) -> None:
    told = await coder.run(await thread(coder), "x = 1")

    assert told.result.output == "The code ran to its end and printed nothing."
    assert told.shown.outputs == ()


async def test_what_a_call_took_is_in_the_step_and_adds_up_in_the_run(coder: Coder) -> None:
    told = await coder.run(await thread(coder), "sum(range(10 ** 6))", "import time; time.sleep(0.05)")

    shown = [result.shown for result in told.results if isinstance(result.shown, CodeShown)]
    assert all(one.wall_ms > 0 and one.max_rss_bytes > 1_000_000 for one in shown)
    usage = told.run.code
    assert usage is not None
    assert usage.n_calls == 2
    assert usage.wall_ms == pytest.approx(sum(one.wall_ms for one in shown))
    assert usage.wall_ms > 50
    assert usage.cpu_ms == pytest.approx(sum(one.cpu_ms for one in shown))
    assert usage.max_rss_bytes == max(one.max_rss_bytes for one in shown)


@pytest.mark.parametrize("arguments", ["print(6 * 7)", '{"code": "print(6 * 7)"}', "```python\nprint(6 * 7)\n```"])
async def test_code_that_a_model_wrote_badly_runs_all_the_same(coder: Coder, arguments: str) -> None:
    coder.model.add(raw_call("code_interpreter", arguments), text("Done."))
    run = await coder.world.rest(await coder.world.run(await thread(coder), tools=(CodeInterpreterTool(),)))

    assert run.status == "completed"
    assert coder.world.seen()[-1] == "tool: 42"


@pytest.mark.parametrize("arguments", ["", "{}", '{"code": ""}', '{"query": "x"}'])
async def test_a_call_without_code_is_answered_without_a_sandbox(coder: Coder, arguments: str) -> None:
    coder.model.add(raw_call("code_interpreter", arguments), text("Done."))
    await coder.world.rest(await coder.world.run(await thread(coder), tools=(CodeInterpreterTool(),)))

    assert "There was no code in the arguments" in coder.world.seen()[-1]


# What code writes --------------------------------------------------------------------------------------------------


async def test_files_that_code_wrote_are_kept_and_linked(coder: Coder) -> None:
    code = "import os\nos.mkdir('out')\nopen('out/a b.csv', 'w').write('1,2')\nopen('é.txt', 'w').write('hi')"
    answer = (
        "Éh 日本: [table](sandbox:/mnt/data/out/a%20b.csv), [text](sandbox:/mnt/data/é.txt). sandbox:/mnt/data/none"
    )
    told = await coder.run(await thread(coder), code, answer=answer)

    assert [file.path for file in told.shown.files] == ["é.txt", "out/a b.csv"]
    ids = {file.path: file.file_id for file in told.shown.files}
    assert told.links == {
        "sandbox:/mnt/data/out/a%20b.csv": ids["out/a b.csv"],
        "sandbox:/mnt/data/é.txt": ids["é.txt"],
    }
    file = await coder.file(ids["out/a b.csv"])
    assert (file.filename, file.purpose, await coder.content(file.id)) == ("a b.csv", "assistants_output", b"1,2")
    assert "Saved for the user, to be linked to: sandbox:/mnt/data/é.txt, sandbox:/mnt/data/out/a b.csv" in (
        told.result.output
    )


async def test_a_later_run_may_link_to_a_file_of_an_earlier_one(coder: Coder) -> None:
    thread_id = await thread(coder)
    first = await coder.run(thread_id, "open('a.txt', 'w').write('1')")
    link = "sandbox:/mnt/data/a.txt"
    assert (await coder.run(thread_id, answer=f"Again: {link}")).links == {link: first.shown.files[0].file_id}

    changed = await coder.run(thread_id, "open('a.txt', 'w').write('2')", answer=link)
    assert changed.links == {link: changed.shown.files[0].file_id}
    assert await coder.content(changed.links[link]) == b"2"
    assert await coder.content(first.shown.files[0].file_id) == b"1"

    same = await coder.run(thread_id, "open('a.txt', 'w').write('2')", answer=link)
    assert (same.shown.files, same.links) == ((), changed.links)

    gone = await coder.run(thread_id, "import os\nos.remove('a.txt')", answer=link)
    assert gone.links == {}


async def test_an_input_that_code_changed_is_a_new_file_in_its_place(coder: Coder) -> None:
    original = await coder.upload("data.csv", "old")
    thread_id = await thread(coder, file_ids=(original,))
    link = "sandbox:/mnt/data/data.csv"
    assert (await coder.run(thread_id, answer=link)).links == {link: original}

    told = await coder.run(thread_id, "open('data.csv', 'a').write(' and new')", answer=link)
    assert await coder.content(told.links[link]) == b"old and new"
    assert await coder.content(original) == b"old"
    assert (await coder.run(thread_id, "import os\nos.listdir()")).result.output == "['data.csv']"


async def test_an_input_that_code_deleted_does_not_come_back(coder: Coder) -> None:
    thread_id = await thread(coder, file_ids=(await coder.upload("data.csv", "x"),))
    await coder.run(thread_id, "import os\nos.remove('data.csv')")

    assert (await coder.run(thread_id, "os.listdir()")).result.output == "[]"
    await drop_sandbox(coder, thread_id)
    assert "[]" in (await coder.run(thread_id, "import os\nos.listdir()")).result.output


async def test_what_a_program_in_the_background_wrote_is_found_when_it_is_linked_to(
    coder: Coder, tmp_path: Path
) -> None:
    thread_id = await thread(coder)
    code = (
        "import subprocess, sys\n"
        "later = \"import time; time.sleep(0.2); open('late.txt', 'w').write('x')\"\n"
        "p = subprocess.Popen([sys.executable, '-c', later])"
    )
    told = await coder.run(thread_id, code)
    assert told.shown.files == ()
    await asyncio.sleep(0.6)

    told = await coder.run(thread_id, answer="[it](sandbox:/mnt/data/late.txt)")
    assert list(told.links) == ["sandbox:/mnt/data/late.txt"]


async def test_an_output_that_its_owner_deleted_is_not_linked_and_not_kept_again(coder: Coder) -> None:
    thread_id = await thread(coder)
    link = "sandbox:/mnt/data/a.txt"
    told = await coder.run(thread_id, "open('a.txt', 'w').write('1')", answer=link)
    await coder.world.runtime.files.delete(coder.world.project, told.links[link])

    assert (await coder.run(thread_id, "open('a.txt').read()", answer=link)).links == {}
    again = await coder.run(thread_id, "open('a.txt', 'w').write('1')", answer=link)
    assert await coder.content(again.links[link]) == b"1"
