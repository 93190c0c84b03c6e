"""`make demo` as a person runs it: a process of its own, a real server, the official SDK."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import agentrt

ROOT = Path(agentrt.__file__).parents[1]
SCRIPT = Path(__file__).parents[2] / "docs" / "first_run.py"
README = Path(__file__).parents[2] / "README.md"


@contextmanager
def first_run(temp: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The script, started; its temporary folder is made in temp. The model's pauses are left out."""
    own = {"PYTHONPATH": str(ROOT), "TMPDIR": str(temp), "COLUMNS": "80", "AGENTRT__MODELS__DEMO__DELAY": "1ms"}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, **own, **variables},  # noqa: TID251 - the environment is what a person has
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a whole first run prints; it ends well, says nothing on standard error, and leaves nothing behind."""
    temp = tmp_path_factory.mktemp("first_run")
    with first_run(temp) as process:
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert list(temp.iterdir()) == []
    return out


def test_the_first_run_shows_tools_memory_and_a_thread_that_outlives_its_server(told: str) -> None:
    assert "a scripted stand-in, not a language" in told
    assert 'shipping_cost(weight_kg=2.5, country="Norway")' in told
    assert "Your name is Ada." in told
    assert "find_order(order_number=1042)" in told
    assert "kill -9" in told
    assert "its run: requires_action" in told
    assert "Order 1042 is on its way and arrives on Friday." in told
    assert "You began with: “Hi, I am Ada." in told
    assert "sum of amount: 30" in told
    assert "value · 10 · 20 · 30" in told
    assert "The warranty lasts two years【1:0†source】." in told


def test_without_a_terminal_there_are_no_colours_and_no_line_is_too_long(told: str) -> None:
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 80 + len(sys.executable)  # commands are shown with their path


def test_the_readme_shows_what_the_first_run_prints(told: str) -> None:
    """When this fails: `COLUMNS=80 make demo`, and paste what it prints into README.md."""
    match = re.search(r"```text\n(agentrt: the first run\n.*?)```", README.read_text(), re.DOTALL)
    assert match is not None, "README.md has no block with the first run"
    assert masked(match[1]) == masked(told)


def test_ctrl_c_ends_the_server_and_removes_the_folder(tmp_path: Path) -> None:
    with first_run(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "ready after" in line:
                break
        url = re.search(r"http://\S+", line)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (130, "")
    assert "Stopped." in out
    assert list(tmp_path.iterdir()) == []
    assert url is not None
    assert not is_served(url[0])


def test_a_server_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    with first_run(tmp_path, AGENTRT__RUNTIME__DATABASE="mysql://nowhere") as process:
        _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "The first run failed: the server ended at once" in err
    assert "runtime.database: this is not a database's URL" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def masked(text: str) -> str:
    """The text without what is different every time: ports, process ids, seconds, the path of the command."""
    text = re.sub(r"127\.0\.0\.1:\d+|--port \d+", "PORT", text)
    text = re.sub(r"kill -9 \d+", "kill -9 PID", text)
    text = re.sub(r"after \d+\.\d s", "after N s", text)
    text = re.sub(r"What isolates it: \S+", "What isolates it: DRIVER", text)
    text = re.sub(r"\S*agentrt (chat|serve|init)", r"agentrt \1", text)
    return re.sub(r" +", " ", text).strip()


def is_served(url: str) -> bool:
    import http.client

    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", "/healthz")
    except OSError:
        return False
    finally:
        connection.close()
    return True
