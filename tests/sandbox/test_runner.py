"""The kernel itself, as a plain process of this machine: what it does on its own, without the host's side of things."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrt.sandbox.boot import BOOT_COMMAND, kernel_folder
from agentrt.sandbox.kernel import KernelSettings
from tests.sandbox.kernel_host import FIND_CONTROL, SETTINGS, Host, attached, wait_until_there_are

# An image may have another Python than we do: those that pyenv has put here stand for them.
PYTHONS = [Path(sys.executable), *sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3"))]
PYTHONS += sorted(Path.home().glob(".pyenv/versions/3.1[0-9].*/bin/python3"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with attached(tmp_path) as host:
        yield host


def test_the_kernel_needs_nothing_but_the_standard_library() -> None:
    names = {path.stem for path in kernel_folder().glob("*.py")}
    imported = set()
    for path in kernel_folder().glob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if line.startswith(("import ", "from ")):
                imported.add(words[1].split(".")[0].rstrip(","))
    assert imported - names - set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_it_runs_on_every_python_of_this_machine(python: Path, tmp_path: Path) -> None:
    host = Host(tmp_path, python=str(python))
    try:
        host.attach()
        assert host.printed("print('hi')") == "hi\n"
        assert host.run("1 / 0")[0]["error"]["name"] == "ZeroDivisionError"
        host.run("x = 1")
        assert host.run("import os; os._exit(1)")[0]["state"] == "restored"
        assert host.value("x") == "1"
    finally:
        host.close()


def test_it_can_be_started_as_a_file(tmp_path: Path) -> None:
    attach = {"t": "attach", "nonce": "n", **SETTINGS, "data": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(kernel_folder() / "runner.py")],
        input=json.dumps(attach) + "\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_setting_of_the_host_is_one_of_the_kernels(tmp_path: Path) -> None:
    assert set(SETTINGS) | {"data"} == set(KernelSettings.__struct_fields__)


def test_hello_says_what_there_is(tmp_path: Path) -> None:
    host = Host(tmp_path)
    try:
        hello = host.attach()
        assert (hello["t"], hello["nonce"], hello["v"], hello["active"]) == ("hello", "n", 1, None)
        assert any(package.startswith("pip-") for package in hello["packages"])
    finally:
        host.close()


def test_the_middle_of_too_much_output_is_left_out(host: Host) -> None:
    done, frames = host.run("for i in range(1000): print(f'{i:09}')")
    text = "".join(frame["d"] for frame in frames if frame["t"] == "out")
    [gap] = [frame for frame in frames if frame.get("skipped")]
    assert text.startswith("000000000\n000000001\n")
    assert text.endswith("000000998\n000000999\n")
    assert len(text) + gap["skipped"] == 10_000 == done["out_bytes"]
    assert len(text) == 1000
    assert done["truncated"]


def test_output_within_the_bound_is_complete(host: Host) -> None:
    done, frames = host.run("print('x' * 998)")
    assert "".join(frame["d"] for frame in frames if frame["t"] == "out") == "x" * 998 + "\n"
    assert not done["truncated"]


def test_a_long_result_is_cut_in_the_middle(host: Host) -> None:
    result = host.value("'x' * 1_000_000")
    assert isinstance(result, str)
    assert len(result) < 100_000
    assert "characters left out" in result


def test_what_is_no_text_does_not_break_the_frames(host: Host) -> None:
    host.settings["output_bytes"] = 1000
    code = "import os\nos.write(1, bytes(range(256)))\nprint('\\ud800\\x00')\n'\\ud800'"
    done, frames = host.run(code)
    assert done["status"] == "ok"
    assert "\\ud800" in done["result"]
    assert "�" in "".join(frame["d"] for frame in frames if frame["t"] == "out")


def test_a_traceback_shows_the_lines_of_the_code_and_none_of_ours(host: Host) -> None:
    host.run("def f():\n    raise ValueError('inside')")
    done, _ = host.run("x = 1\nf()")
    lines = done["error"]["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "<cell 2>", line 2, in <module>'
    assert "    raise ValueError('inside')" in lines
    assert lines[-1] == "ValueError: inside"
    assert "agentrt" not in done["error"]["traceback"]


def test_an_exception_that_cannot_be_shown_is_named(host: Host) -> None:
    done, _ = host.run("class Bad(Exception):\n    def __str__(self): raise TypeError\nraise Bad")
    assert (done["status"], done["error"]["name"]) == ("error", "Bad")
    done, _ = host.run("class Odd:\n    def __repr__(self): raise KeyError('no')\nOdd()")
    assert done["error"]["name"] == "KeyError"


def test_code_may_recurse_too_deep_and_go_on(host: Host) -> None:
    done, _ = host.run("def f(): f()\nf()")
    assert done["error"]["name"] == "RecursionError"
    host.run("import sys; sys.setrecursionlimit(60)")
    assert host.value("1 + 1") == "2"


def test_what_is_deaf_to_an_interrupt_is_killed(host: Host) -> None:
    host.run("kept = 'yes'")
    done, _ = host.run("import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", 0.2)
    assert (done["status"], done["state"]) == ("timeout", "restored")
    assert done["cpu_ms"] > 50
    assert host.value("kept") == "'yes'"


def test_an_interrupt_reaches_the_programs_that_the_code_waits_for(host: Host) -> None:
    done, _ = host.run("import os\nos.system('sleep 30')", 0.2)
    assert (done["status"], done["state"]) == ("timeout", "kept")


def test_who_catches_the_interrupt_and_ends_in_time_keeps_everything(host: Host) -> None:
    done, _ = host.run("import time\ntry:\n    time.sleep(30)\nexcept KeyboardInterrupt:\n    x = 'caught'", 0.2)
    assert (done["status"], done["state"]) == ("timeout", "kept")
    assert host.value("x") == "'caught'"


def test_a_call_can_be_interrupted_while_it_waits_for_its_turn(host: Host) -> None:
    first = host.start("import time\ntime.sleep(30)")
    second = host.start("x = 'ran'")
    host.say("interrupt", id="i2", call=second)
    host.say("interrupt", id="i1", call=first)
    heard = [host.hear() for _ in range(4)]
    ends = {frame["id"]: frame["status"] for frame in heard if frame["t"] == "done"}
    assert ends == {first: "interrupted", second: "interrupted"}
    assert host.run("x")[0]["error"]["name"] == "NameError"


def test_state_that_is_too_large_is_not_copied(tmp_path: Path) -> None:
    host = Host(tmp_path, settings={"checkpoint_bytes": 60_000_000})
    try:
        host.attach()
        host.run("small = 1")
        assert host.run("import os; os._exit(1)")[0]["state"] == "restored"
        host.run("large = b'x' * 100_000_000")
        done, _ = host.run("import os; os._exit(1)")
        assert done["state"] == "lost"  # and not what was before the last call: that would be a lie
        assert host.run("small")[0]["error"]["name"] == "NameError"
    finally:
        host.close()


def test_memory_is_watched_where_no_cgroup_does(tmp_path: Path) -> None:
    host = Host(tmp_path, settings={"watch_bytes": 120_000_000})
    try:
        host.attach()
        host.run("kept = 'yes'")
        done, _ = host.run("import time\nlarge = b'x' * 300_000_000\ntime.sleep(20)")
        assert (done["status"], done["state"]) == ("oom", "restored")
        assert host.value("kept") == "'yes'"
    finally:
        host.close()


def test_a_worker_that_dies_between_calls_is_replaced(host: Host) -> None:
    host.run("kept = 'yes'")
    host.run("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05)")
    time.sleep(0.3)
    done, _ = host.run("kept")
    assert (done["result"], done["state"]) == ("'yes'", "restored")


def test_what_a_call_has_made_is_copied_although_no_other_call_follows(host: Host) -> None:
    host.run("import signal\nmade = 'here'\nsignal.setitimer(signal.ITIMER_REAL, 0.5)")
    time.sleep(0.8)
    done, _ = host.run("made")
    assert (done["result"], done["state"]) == ("'here'", "restored")


def test_a_worker_that_cannot_begin_is_replaced_and_the_call_runs_all_the_same(host: Host) -> None:
    code = "import gc\nworker = [o for o in gc.get_objects() if type(o).__name__ == 'Worker'][0]\n"
    host.run(code + "type(worker)._call = None")
    done, _ = host.run("'ran'")
    assert (done["result"], done["state"]) == ("'ran'", "lost")


def test_a_worker_that_dies_before_it_is_copied_is_replaced_by_the_copy_from_one_call_earlier(host: Host) -> None:
    host.run("kept = 'yes'")
    host.run("import os, resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nwhile True: os.dup(1)")
    done, _ = host.run("kept")
    assert (done["result"], done["state"]) == ("'yes'", "restored")


def test_the_code_cannot_speak_for_the_kernel(host: Host) -> None:
    forge = (
        FIND_CONTROL
        + """\
control.sendall(b'{"t":"file","path":"../forged","size":1}\\n{"t":"hello"}\\n{"t":"done","status":"ok","result":"no"}\\n')
# At one go: one that came later would be for a later call.
control.sendall(b"".join(b'{"t":"done","n":%d,"status":"fine","ms":-5}\\n' % n for n in range(10)))
time.sleep(0.3)
"""
    )
    done, frames = host.run(forge)
    assert frames == []
    assert (done["status"], done["ms"]) == ("error", 0.0)  # the one whose number was guessed
    assert host.ask("ping")["t"] == "ok"
    assert host.value("'on'") == "'on'"


def test_what_is_no_frame_costs_the_worker_its_place(host: Host) -> None:
    host.run("kept = 'yes'")
    done, _ = host.run(FIND_CONTROL + "control.sendall(b'nonsense\\n')\ntime.sleep(20)")
    assert (done["status"], done["state"]) == ("crashed", "restored")
    assert host.value("kept") == "'yes'"


def test_the_code_cannot_make_the_kernel_take_something_else_for_the_copy(host: Host) -> None:
    """It can only cheat itself out of its variables."""
    forge = """\
import os
for n in (0, 1, 2, 3, 4, 5):
    for fd in (os.open("/dev/null", os.O_RDONLY), socket.socketpair()[0].fileno()):
        socket.send_fds(births, [b"%d" % n], [fd])
    births.send(b"%d" % n)
births.send(b"x" * 10_000)
"""
    host.run("kept = 'yes'")
    host.run(FIND_CONTROL + forge)
    done, _ = host.run("import os\nos._exit(1)")
    assert done["state"] in ("restored", "lost")
    assert host.value("1 + 1") == "2"
    assert host.ask("ping")["t"] == "ok"


def test_files_are_written_in_pieces_and_read_from_anywhere(host: Host) -> None:
    assert host.ask("put", b"0123456789", path="a/b.bin", offset=0)["t"] == "ok"
    assert host.ask("put", b"abc", path="a/b.bin", offset=10)["t"] == "ok"
    answer = host.ask("get", path="a/b.bin", offset=8, size=100)
    assert (answer["bytes"], answer["size"]) == (b"89abc", 13)
    assert (host.data / "a" / "b.bin").read_bytes() == b"0123456789abc"
    assert json.loads(host.ask("list")["bytes"])[0]["path"] == "a/b.bin"
    assert host.ask("del", path="a/b.bin")["t"] == "ok"
    assert host.ask("del", path="a/b.bin")["code"] == "not_found"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", ".", "a//b", "a\0b", "x" * 300])
def test_paths_that_lead_out_are_refused_by_the_kernel_too(host: Host, path: str) -> None:
    for kind, raw in (("put", b"x"), ("get", None), ("del", None)):
        answer = host.ask(kind, raw, path=path, offset=0, size=10)
        assert (answer["t"], answer["code"]) == ("fail", "refused")


def test_folders_that_are_links_are_not_entered(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("secret")
    (host.data / "door").symlink_to(outside)
    assert host.ask("get", path="door/secret", offset=0, size=10)["code"] == "refused"
    assert host.ask("put", b"x", path="door/new", offset=0)["code"] == "refused"
    assert host.ask("del", path="door/secret")["code"] == "refused"
    assert json.loads(host.ask("list")["bytes"]) == []
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_many_new_files_are_reported_up_to_a_bound(host: Host) -> None:
    _, frames = host.run("for i in range(300): open(f'f{i:03}', 'w').close()")
    assert [frame["path"] for frame in frames if frame["t"] == "file"] == [f"f{i:03}" for i in range(200)]
    assert len(json.loads(host.ask("list")["bytes"])) == 300


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
class TestItsEnd:
    def test_a_host_that_is_silent_for_the_lease_is_gone(self, tmp_path: Path) -> None:
        host = Host(tmp_path, settings={"lease_s": 0.3})
        try:
            host.attach()
            host.start("while True: pass", None)
            assert host.process.wait(10) == 0
            wait_until_there_are(0, tmp_path)
        finally:
            host.close()

    def test_a_host_that_was_killed_before_it_sent_the_kernel_is_not_waited_for(self) -> None:
        """As a container's host whose stdin stays open. It has a minute; here a moment."""
        command = [sys.executable, *(part.replace("60.0", "0.1") for part in BOOT_COMMAND[1:])]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            assert process.wait(60) == 1
            assert process.stderr is not None
            assert process.stderr.read() == b"no kernel came\n"

    def test_a_ping_renews_the_lease(self, tmp_path: Path) -> None:
        host = Host(tmp_path, settings={"lease_s": 0.6})
        try:
            host.attach()
            for _ in range(5):
                time.sleep(0.2)
                assert host.ask("ping")["t"] == "ok"
        finally:
            host.close()

    def test_a_host_that_hangs_up_takes_everything_along(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.attach()
        host.start("import subprocess\nsubprocess.Popen(['sleep', '60'])\nwhile True: pass", None)
        time.sleep(0.3)
        host.close()
        assert host.process.returncode == 0
        wait_until_there_are(0, tmp_path)

    def test_stop_means_at_once(self, host: Host) -> None:
        host.say("stop")
        assert host.process.wait(10) == 0
        wait_until_there_are(0, host.data)

    def test_a_kernel_that_is_killed_leaves_nobody(self, host: Host) -> None:
        host.start("while True: pass", None)
        time.sleep(0.2)
        host.process.kill()
        wait_until_there_are(0, host.data)

    def test_a_host_that_speaks_nonsense_is_left(self, host: Host) -> None:
        host.say("attach", nonsense=1)
        assert host.process.wait(10) == 1
        wait_until_there_are(0, host.data)

    def test_a_reset_ends_what_ran_in_the_background(self, host: Host) -> None:
        host.run("import subprocess\nchild = subprocess.Popen(['sleep', '60'])")
        wait_until_there_are(3, host.data)  # the worker, its copy, the child
        assert host.ask("reset")["t"] == "ok"
        wait_until_there_are(2, host.data)

    def test_after_a_kill_only_the_copy_is_left(self, host: Host) -> None:
        code = "import os, signal, subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\nos.fork()\n"
        done, _ = host.run(code + "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", 0.2)
        assert done["state"] == "restored"
        wait_until_there_are(2, host.data)
        assert host.value("'on'") == "'on'"
