"""The name under which a process finds its sandboxes again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from agentrt.runtime.code_interpreter.owner import SandboxOwner


def test_two_at_once_have_two_names_and_the_next_in_place_has_the_same(tmp_path: Path) -> None:
    first, second = SandboxOwner(tmp_path / "sandboxes"), SandboxOwner(tmp_path / "sandboxes")
    name = first.name
    assert name == first.name
    assert second.name != name
    first.release()

    third = SandboxOwner(tmp_path / "sandboxes")
    assert third.name == name
    second.release()
    third.release()
    third.release()


def test_a_process_that_was_killed_lets_go_of_its_name(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from agentrt.runtime.code_interpreter.owner import SandboxOwner\n"
        "print(SandboxOwner(Path(sys.argv[1])).name, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    owner = SandboxOwner(tmp_path)

    assert done.stdout.strip() == owner.name
    owner.release()


def test_a_copy_of_the_folder_is_somebody_else(tmp_path: Path) -> None:
    owner = SandboxOwner(tmp_path / "one")
    name = owner.name
    owner.release()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copy = SandboxOwner(tmp_path / "two")

    assert copy.name != name
    copy.release()
