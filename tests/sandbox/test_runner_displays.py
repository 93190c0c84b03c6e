"""The order of what is printed and what is shown: the one comes through a pipe, the other over the control socket."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.kernel_host import FIND_CONTROL, Host, attached, wait_until_there_are

PICTURE = """\
import os, signal, threading, time
class Pic:
    def __init__(self, n_bytes=4): self.n_bytes = n_bytes
    def _repr_png_(self): return b"p" * self.n_bytes
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with attached(tmp_path) as host:
        yield host


def shown_and_printed(frames: list[dict[str, Any]]) -> str:
    """Text as it came, with a * for each display."""
    return "".join("*" if frame["t"] == "display" else frame["d"] for frame in frames)


def test_what_is_printed_right_after_a_display_comes_after_it(host: Host) -> None:
    for n_bytes in (4, 1_000_000):
        _, frames = host.run(PICTURE + f"for n in range(20):\n    print(n)\n    display(Pic({n_bytes}))\nprint('end')")
        assert shown_and_printed(frames) == "".join(f"{n}\n*" for n in range(20)) + "end\n"


def test_displays_above_the_bounds_are_left_out_and_hold_nobody_up(host: Host) -> None:
    code = "started = time.monotonic()\nfor n in range(40): display(Pic(6_000_000))\n"
    _, frames = host.run(PICTURE + code + "print(time.monotonic() - started < 1.9)")
    assert shown_and_printed(frames) == "*****True\n"


def test_threads_display_in_turns_and_also_when_their_call_is_over(host: Host) -> None:
    code = """\
def show():
    for _ in range(5): display(Pic(300_000))
threads = [threading.Thread(target=show) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
def linger():
    global n_late
    for n_late in range(1, 10_000):
        vars(__import__("__main__"))["display"](Pic())
n_late = 0
threading.Thread(target=linger, daemon=True).start()
"""
    done, frames = host.run(PICTURE + code)
    assert done["status"] == "ok"
    assert [len(frame["bytes"]) for frame in frames if frame["t"] == "display"][:15] == [300_000] * 15
    done, frames = host.run("while not n_late: pass\nbefore = n_late\nprint('a')\ntime.sleep(0.1)\nn_late > before")
    assert (done["result"], done["state"]) == ("True", "kept")


@pytest.mark.parametrize("moment_s", [0.0, 0.001, 0.002, 0.003, 0.005, 0.01])
def test_an_interrupt_in_the_middle_of_a_display_costs_nothing(host: Host, moment_s: float) -> None:
    host.run(PICTURE + "kept = 'yes'")
    stopped = "    while True: display(Pic(1_600_000))\nexcept KeyboardInterrupt:\n    print('stopped')"
    call = host.start("try:\n    os.write(1, b'begun\\n')\n" + stopped)
    frames = [host.hear()]
    time.sleep(moment_s)
    host.say("interrupt", id="i", call=call)
    while frames[-1]["t"] != "done":
        frames += [frame] if (frame := host.hear())["t"] != "ok" else []
    assert (frames[-1]["status"], frames[-1]["state"]) == ("interrupted", "kept")
    assert re.fullmatch(r"begun\n\**stopped\n", shown_and_printed(frames[:-1]))
    _, frames = host.run("print('a')\ndisplay(Pic())\nprint(kept)")
    assert shown_and_printed(frames) == "a\n*yes\n"


def test_an_interrupt_in_the_middle_of_a_flush_before_a_display_is_not_lost(host: Host) -> None:
    code = "class Out:\n    def flush(self):\n        sys.stdout = sys.__stdout__\n        signal.raise_signal(2)\n"
    done, _ = host.run(PICTURE + "import sys\n" + code + "sys.stdout = Out()\ndisplay(Pic())")
    assert (done["status"], done["state"]) == ("interrupted", "kept")
    assert host.printed("print('a')") == "a\n"


def test_a_copy_made_while_a_thread_displayed_can_display(host: Host) -> None:
    code = "def show():\n    while True: display(Pic(1_000_000))\nthreading.Thread(target=show, daemon=True).start()"
    host.run(PICTURE + code)
    for _ in range(5):
        done, _ = host.run("os.kill(os.getpid(), signal.SIGKILL)")
        assert done["status"] == "crashed"
        done, frames = host.run("print('a')\ndisplay(Pic())\nprint('b')")
        assert (done["status"], shown_and_printed(frames)) == ("ok", "a\n*b\n")


def test_a_child_that_displays_ends_and_the_session_goes_on(host: Host) -> None:
    child = "    display(Pic())\n    print('child')\n    time.sleep(60)\n"
    code = f"pid = os.fork()\nif not pid:\n{child}os.waitpid(pid, 0)[1]"
    done, frames = host.run(PICTURE + code)
    assert (done["result"], shown_and_printed(frames)) == ("0", "")


def test_a_worker_that_never_fetches_its_receipts_or_has_closed_their_way_disturbs_nobody(host: Host) -> None:
    frame = '{"t":"display","n":%s,"mime":"image/png","receipt":%s,"raw":1}'
    flood = f"""\
import json
for n in range(2000):
    for receipt in ('"x"', '7', 'null', json.dumps('\\ud800' * 10_000), '{{}}'):
        control.sendall(('{frame}' % (n, receipt)).encode() + b'\\nx')
births.close()
"""
    done, _ = host.run(PICTURE + FIND_CONTROL + flood + "display(Pic())\nprint('still here')\ndisplay(Pic())")
    assert done["status"] == "ok"
    assert host.ask("ping")["t"] == "ok"
    assert host.value("'on'") == "'on'"


def test_a_display_ends_with_the_kernel(host: Host) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\nwhile True: display(Pic(1_000_000))"
    host.start(PICTURE + code, None)
    assert host.hear()["d"] == "up\n"
    host.process.kill()
    wait_until_there_are(0, host.data)
