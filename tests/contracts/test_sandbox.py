"""What every driver's sandboxes do, each as far as it says that it can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from agentrt.config.schema import SandboxLimits, SandboxSpec
from agentrt.errors import InvalidRequestError, SandboxError, SandboxGoneError
from agentrt.sandbox.choose import make_driver
from agentrt.sandbox.driver import Driver, Unavailable
from agentrt.sandbox.events import Display, FileWritten, Finished, Output
from agentrt.sandbox.sandbox import Sandbox
from tests.compat.performance import leave_out

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1024**2
SPEC = SandboxSpec(name="contract", limits=SandboxLimits(memory_bytes=256 * MB, disk_bytes=32 * MB), timeout_s=20.0)


NAMES = ("docker", "bubblewrap", "monty", "unsafe-local")
CAN = {name: make_driver(name, SPEC).capabilities for name in NAMES}


def able(*what: str) -> pytest.MarkDecorator:
    """For the drivers that say that they can do this."""
    names = [name for name in NAMES if all(getattr(CAN[name], each) for each in what)]
    return pytest.mark.parametrize("driver", names, indirect=True, scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=NAMES)
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    """Skips (in CI: fails) with the reason where it does not work."""
    if request.param == "docker":
        from agentrt.sandbox.docker import DockerDriver

        spec = msgspec.structs.replace(SPEC, image=request.getfixturevalue("docker_image"))
        url = request.getfixturevalue("docker_engine").url
        driver: Driver = DockerDriver(spec, owner="contract", url=url)
    else:
        driver = make_driver(request.param, SPEC)
    probe = await driver.probe()
    if isinstance(probe, Unavailable):
        leave_out(f"{request.param}: {probe.why}: {probe.remedy}")
    yield driver
    await driver.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(driver: Driver) -> AsyncIterator[Sandbox]:
    """One sandbox for the whole module."""
    sandbox = await Sandbox.start(driver, SPEC, session="kept")
    yield sandbox
    await sandbox.close()


@pytest_asyncio.fixture(loop_scope="module")
async def box(kept: Sandbox) -> Sandbox:
    """That sandbox, without variables and files."""
    await kept.reset()
    for file in await kept.list():
        await kept.delete(file.path)
    return kept


async def test_the_last_expression_is_the_result(box: Sandbox) -> None:
    result = await box.run("x = 20\nx + 1")
    assert (result.status, result.result, result.output, result.error) == ("ok", "21", "", None)
    assert (await box.run("y = 1")).result is None


async def test_variables_live_from_call_to_call(box: Sandbox) -> None:
    await box.run("def twice(n):\n    return 2 * n\nnames = ['a']")
    assert (await box.run("names.append('b')\n[twice(21), names]")).result == "[42, ['a', 'b']]"


async def test_what_is_printed_comes_before_the_end(box: Sandbox) -> None:
    events = [event async for event in box.stream("print('one')\nprint('two')\n3")]
    printed = "".join(event.text for event in events if isinstance(event, Output) and event.stream == "stdout")
    assert printed == "one\ntwo\n"
    assert isinstance(events[-1], Finished)
    assert events[-1].result == "3"


async def test_text_in_any_language_survives(box: Sandbox) -> None:
    result = await box.run("print('žluťoučký 🐎')\n'日本'")
    assert (result.output, result.result) == ("žluťoučký 🐎\n", "'日本'")


async def test_an_exception_is_a_text_for_the_model(box: Sandbox) -> None:
    result = await box.run("before = 1\n1 / 0")
    assert result.status == "error"
    assert result.error is not None
    assert result.error.name == "ZeroDivisionError"
    assert "division by zero" in result.text
    assert "line 2" in result.error.traceback
    assert (await box.run("before")).result == "1"


async def test_code_that_is_no_python_is_an_error_too(box: Sandbox) -> None:
    result = await box.run("def f(:")
    assert result.status == "error"
    assert result.error is not None
    assert result.error.name == "SyntaxError"
    assert (await box.run("'\\0'.join(['a'])")).status == "ok"


async def test_a_call_that_takes_too_long_is_stopped_and_variables_are_kept(box: Sandbox) -> None:
    await box.run("kept = 'yes'")
    result = await box.run("while True:\n    kept", timeout_s=0.5)
    assert result.status == "timeout"
    assert result.state != "lost"
    assert "took too long" in result.text
    assert (await box.run("kept")).result == "'yes'"


async def test_a_call_can_be_interrupted(box: Sandbox) -> None:
    await box.run("kept = 'yes'")
    running = asyncio.ensure_future(box.run("while True:\n    kept"))
    await asyncio.sleep(0.3)
    await box.interrupt()
    result = await running
    assert result.status == "interrupted"
    assert result.state != "lost"
    assert (await box.run("kept")).result == "'yes'"
    await box.interrupt()  # nothing runs: nothing happens
    assert (await box.run("1")).status == "ok"


async def test_who_stops_listening_interrupts_the_call(box: Sandbox) -> None:
    stream = box.stream("print('go')\nwhile True:\n    pass")
    async for event in stream:
        assert isinstance(event, Output)
        break
    await stream.aclose()
    assert (await box.run("'free again'")).result == "'free again'"


async def test_calls_wait_for_each_other(box: Sandbox) -> None:
    await box.run("log = []")
    codes = [f"log.append({n})\nfor _ in range(1000):\n    pass\nlog.append({n})" for n in range(5)]
    await asyncio.gather(*(box.run(code) for code in codes))
    assert (await box.run("log")).result == repr([n for n in range(5) for _ in range(2)])


async def test_a_flood_of_output_is_cut_in_the_middle(box: Sandbox) -> None:
    result = await box.run("print('first')\nfor i in range(200_000):\n    print('xxxxxxxxxxxxxxx')\nprint('last')")
    assert result.is_truncated
    assert len(result.output) < 1.2 * MB
    assert result.output.startswith("first\n")
    assert result.output.endswith("last\n")
    assert "bytes left out" in result.output


async def test_files_go_in_and_out(box: Sandbox) -> None:
    data = bytes(range(256)) * 12_000
    assert await box.put("in/data.bin", data) == len(data)
    where = box.capabilities.folder
    result = await box.run(f"with open('{where}/in/data.bin', 'rb') as file:\n    data = file.read()\nlen(data)")
    assert result.result == str(len(data))
    assert result.files == ()  # it was put there, not written by the code
    assert await box.get("in/data.bin") == data
    assert [(file.path, file.size_bytes) for file in await box.list()] == [("in/data.bin", len(data))]
    await box.delete("in/data.bin")
    assert await box.list() == []


async def test_files_that_the_code_writes_are_reported(box: Sandbox) -> None:
    where = box.capabilities.folder
    written = await box.run(f"with open('{where}/out.txt', 'w') as file:\n    file.write('hello')")
    [file] = written.files
    assert (file.path, file.size_bytes) == ("out.txt", 5)
    assert file.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (await box.run("1")).files == ()
    again = await box.run(f"with open('{where}/out.txt', 'w') as file:\n    file.write('goodbye')")
    assert [(file.path, file.size_bytes) for file in again.files] == [("out.txt", 7)]


async def test_an_empty_file_is_a_file(box: Sandbox) -> None:
    assert await box.put("empty", b"") == 0
    assert await box.get("empty") == b""


async def test_a_file_that_is_replaced_has_only_the_new_content(box: Sandbox) -> None:
    await box.put("a", b"a longer text")
    await box.put("a", "short")
    assert await box.get("a") == b"short"


async def test_a_missing_file_is_said_to_be_missing(box: Sandbox) -> None:
    with pytest.raises(FileNotFoundError):
        await box.get("nothing")
    with pytest.raises(FileNotFoundError):
        await box.delete("nothing")


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../b", "", "-rf", "a\\b", "a\nb", "a\u202eb", "x" * 201])
async def test_names_that_lead_out_or_deceive_are_refused(box: Sandbox, path: str) -> None:
    with pytest.raises(InvalidRequestError):
        await box.put(path, b"x")
    with pytest.raises(InvalidRequestError):
        await box.get(path)


async def test_more_than_is_wanted_is_not_read(box: Sandbox) -> None:
    await box.put("large", bytes(100_000))
    with pytest.raises(InvalidRequestError, match="100000 bytes"):
        await box.get("large", max_bytes=99_999)


@able("isolated")
async def test_a_full_disk_is_an_error_and_no_end(box: Sandbox) -> None:
    with pytest.raises(SandboxError, match="no room"):
        await box.put("too-large", bytes(40 * MB))
    for file in await box.list():
        await box.delete(file.path)
    assert (await box.run("1")).status == "ok"


async def test_a_reset_forgets_variables_and_keeps_files(box: Sandbox) -> None:
    await box.put("stays", b"here")
    await box.run("x = 1")
    await box.reset()
    result = await box.run("x")
    assert result.error is not None
    assert result.error.name == "NameError"
    assert result.state == "kept"  # nobody has taken them away from the caller
    assert await box.get("stays") == b"here"


async def test_time_and_memory_of_a_call_are_measured(box: Sandbox) -> None:
    result = await box.run("n = 0\nfor i in range(200_000):\n    n += i\nn")
    assert result.result == "19999900000"
    assert 0 < result.cpu_ms < 20_000
    assert 0 < result.ms < 20_000
    assert result.max_rss_bytes > MB


async def test_two_sandboxes_know_nothing_of_each_other(driver: Driver, box: Sandbox) -> None:
    other = await Sandbox.start(driver, SPEC)
    try:
        await box.run("mine = 1")
        await box.put("mine.txt", b"1")
        assert (await other.run("mine")).status == "error"
        assert await other.list() == []
    finally:
        await other.close()
    with pytest.raises(SandboxGoneError):
        await other.run("1")
    await other.close()  # once more does no harm
    assert (await box.run("mine")).result == "1"


@able("python")
class TestRealPython:
    """For drivers with CPython in it."""

    async def test_output_of_programs_and_of_c_code_comes_too(self, box: Sandbox) -> None:
        result = await box.run(
            "import os, subprocess\nos.write(2, b'raw\\n')\nsubprocess.run(['sh', '-c', 'echo sub'])\nNone"
        )
        assert sorted(result.output.split()) == ["raw", "sub"]

    async def test_output_without_an_end_of_line_is_not_held_back(self, box: Sandbox) -> None:
        stream = box.stream("import time\nprint('50 %', end='')\ntime.sleep(5)")
        started = time.monotonic()
        async for event in stream:
            assert isinstance(event, Output)
            assert event.text == "50 %"
            break
        assert time.monotonic() - started < 4
        await stream.aclose()

    async def test_await_works_at_top_level(self, box: Sandbox) -> None:
        result = await box.run("import asyncio\nawait asyncio.sleep(0.01)\nawait asyncio.sleep(0, 'slept')")
        assert result.result == "'slept'"

    async def test_modules_in_the_folder_can_be_imported(self, box: Sandbox) -> None:
        await box.put("mine.py", "answer = 42\n")
        assert (await box.run("import mine\nmine.answer")).result == "42"

    async def test_pictures_of_the_last_expression_are_displays(self, box: Sandbox) -> None:
        code = "class Pic:\n    def _repr_png_(self): return b'\\x89PNG'\n    def __repr__(self): return 'pic'\n"
        result = await box.run(code + "display(Pic())\nPic()")
        assert result.displays == (Display("image/png", b"\x89PNG"), Display("image/png", b"\x89PNG"))
        assert result.result == "pic"

    async def test_what_is_printed_around_a_display_keeps_its_place(self, box: Sandbox) -> None:
        code = "class Pic:\n    def _repr_png_(self): return b'\\x89PNG' * 20_000\n"
        code += "for n in range(10):\n    print(n)\n    display(Pic())\nprint('end')"
        events = [event async for event in box.stream(code)]
        shown = "".join(event.text if isinstance(event, Output) else "*" for event in events[:-1])
        assert shown == "".join(f"{n}\n*" for n in range(10)) + "end\n"

    async def test_exit_ends_the_call_and_not_the_session(self, box: Sandbox) -> None:
        await box.run("x = 1")
        assert (await box.run("exit(3)")).status == "exit"
        assert (await box.run("x")).result == "1"
        assert (await box.run("print('still here')")).output == "still here\n"

    async def test_a_child_that_runs_on_is_not_taken_for_the_session(self, box: Sandbox) -> None:
        await box.run("import os\nx = 'parent'\npid = os.fork()\nif not pid: x = 'child'")
        assert (await box.run("x")).result == "'parent'"

    async def test_links_and_pipes_are_neither_listed_nor_read(self, box: Sandbox) -> None:
        await box.run("import os\nos.symlink('/etc/passwd', 'link')\nos.mkfifo('pipe')\nos.symlink('/etc', 'folder')")
        assert await box.list() == []
        for path in ("link", "pipe", "folder/passwd"):
            with pytest.raises(InvalidRequestError, match="no plain file"):
                await box.get(path)
        await box.run("for name in ('link', 'pipe', 'folder'): os.unlink(name)")

    async def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(self, box: Sandbox) -> None:
        await box.run("import os\nopen('target', 'w').write('old')\nos.symlink('target', 'name')")
        await box.put("name", b"new")
        assert await box.get("target") == b"old"
        assert await box.get("name") == b"new"

    async def test_names_that_deceive_stay_inside(self, box: Sandbox) -> None:
        result = await box.run(r"for name in ['-rf', 'a\\b', 'a\u202eb', 'good']: open(name, 'w').close()")
        assert [file.path for file in result.files] == ["good"]
        assert [file.path for file in await box.list()] == ["good"]
        await box.run("import os\nfor name in os.listdir(): os.unlink(name)")

    async def test_deaf_code_is_killed_a_second_later(self, box: Sandbox) -> None:
        await box.run("kept = 'yes'")
        code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nlost = 1\ntime.sleep(30)"
        result = await box.run(code, timeout_s=0.5)
        assert (result.status, result.state) == ("timeout", "restored")
        assert result.ms < 10_000
        assert (await box.run("kept, 'lost' in globals()")).result == "('yes', False)"

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("import os\nprint('said')\nos._exit(7)", "exit"),
            ("import ctypes\nprint('said')\nctypes.string_at(0)", "crashed"),
            ("import os, signal\nprint('said')\nos.kill(os.getpid(), signal.SIGKILL)", "crashed"),
            ("import os, sys\nprint('said')\nos.closerange(3, 1000)\nsys.stdout.close()\nos.close(1)", "any"),
        ],
    )
    async def test_variables_survive_the_end_of_the_process(self, box: Sandbox, code: str, status: str) -> None:
        await box.run("kept = 'yes'")
        result = await box.run(code)
        assert result.status == status or status == "any"
        assert result.output.startswith("said\n")
        assert (await box.run("kept")).result == "'yes'"
        assert (await box.run("print('and on')")).output == "and on\n"

    async def test_variables_survive_running_out_of_memory(self, box: Sandbox) -> None:
        await box.run("kept = 'yes'")
        result = await box.run("a = []\nwhile True: a.append(bytearray(5_000_000))")
        assert result.status in ("oom", "error")  # a MemoryError where the system refuses instead
        assert (await box.run("kept")).result == "'yes'"

    async def test_a_second_crash_in_a_row_loses_nothing_either(self, box: Sandbox) -> None:
        await box.run("kept = 'yes'")
        for _ in range(3):
            assert (await box.run("import os\nos._exit(1)")).state == "restored"
        assert (await box.run("kept")).result == "'yes'"

    async def test_poisoned_builtins_are_the_codes_own_problem(self, box: Sandbox) -> None:
        await box.run("kept = 'yes'")
        poison = "import builtins, json, os, sys, traceback\nbuiltins.len = builtins.repr = json.dumps = None\n"
        poison += "os.fork = os.dup2 = traceback.format_exception = None\nsys.stdout = sys.stderr = None"
        assert (await box.run(poison)).status == "ok"
        assert (await box.run("kept")).result == "'yes'"
        failed = await box.run("1 / 0")
        assert failed.error is not None
        assert failed.error.name == "ZeroDivisionError"

    async def test_a_thread_that_prints_between_calls_disturbs_nobody(self, box: Sandbox) -> None:
        code = (
            "import threading, time\ndef chat():\n    while alive:\n        print('noise')\n        time.sleep(0.01)\n"
        )
        await box.run(f"alive = True\n{code}threading.Thread(target=chat).start()")
        await asyncio.sleep(0.1)
        assert (await box.run("alive = False\n'quiet'")).result == "'quiet'"

    async def test_files_of_a_call_that_failed_are_reported(self, box: Sandbox) -> None:
        result = await box.run("open('partial', 'w').write('x')\n1 / 0")
        assert [file.path for file in result.files] == ["partial"]
        assert isinstance(result.files[0], FileWritten)


@able("reattach")
async def test_a_session_is_found_again_by_whoever_owns_it(driver: Driver) -> None:
    first = await Sandbox.start(driver, SPEC, session="thread_1")
    await first.run("kept = 'yes'")
    first.detach()
    [left] = [left for left in await driver.left() if left.session == "thread_1"]
    second = await Sandbox.take_over(driver, SPEC, left)
    try:
        assert (await second.run("kept")).result == "'yes'"
    finally:
        await second.close()
    assert "thread_1" not in [left.session for left in await driver.left()]


@able("reattach")
async def test_a_call_that_was_left_running_is_stopped_by_who_takes_over(driver: Driver) -> None:
    first = await Sandbox.start(driver, SPEC, session="thread_2")
    stream = first.stream("kept = 'yes'\nprint('go')\nwhile True: pass")
    async for _ in stream:
        break
    first.detach()
    with pytest.raises(SandboxGoneError):
        await anext(stream)
    [left] = [left for left in await driver.left() if left.session == "thread_2"]
    second = await Sandbox.take_over(driver, SPEC, left)
    try:
        assert (await second.run("kept")).result == "'yes'"
    finally:
        await second.close()


@able("reattach")
async def test_a_warm_sandbox_belongs_to_who_claims_it(driver: Driver) -> None:
    sandbox = await Sandbox.start(driver, SPEC)
    try:
        before = [left.session for left in await driver.left() if left.box_id == sandbox.box_id]
        await sandbox.claim("thread_3")
        after = [left.session for left in await driver.left() if left.box_id == sandbox.box_id]
        assert (before, after) == ([None], ["thread_3"])
    finally:
        await sandbox.close()
