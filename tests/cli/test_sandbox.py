"""`agentrt sandbox`, in a project whose sandbox isolates nothing, and on a real engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from agentrt.cli.sandbox_images import BuildProgress
from agentrt.sandbox.docker_box import LABEL
from tests.cli.ptys import at_terminal
from tests.cli.terminals import Terminal
from tests.docker_engine import DockerEngine

Call = Callable[..., Result]

UNSAFE = '[sandboxes.python]\ndriver = "unsafe-local"\n'


@pytest.fixture
def unsafe(project: Path) -> Path:
    with (project / "agents.toml").open("a") as file:
        file.write(UNSAFE)
    return project


@pytest.fixture
def engine(docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> DockerEngine:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.url)
    return docker_engine


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("unsafe", "no_engine")
def test_the_list_says_what_isolates(call: Call) -> None:
    said = call("sandbox")
    assert said.exit_code == 0
    assert "unsafe-local" in said.stdout
    assert "not isolated" in said.stdout
    document = json.loads(call("sandbox", "list", "--json").stdout)
    assert [(one["name"], one["driver"]) for one in document["sandboxes"]] == [("python", "unsafe-local")]
    assert document["boxes"] == []


@pytest.mark.usefixtures("unsafe")
def test_code_can_be_piped_in(call: Call) -> None:
    said = call("sandbox", "shell", stdin="x = 20\nprint('hello')\nx + 1\n")
    assert (said.exit_code, said.stdout) == (0, "hello\n21\n")


@pytest.mark.usefixtures("unsafe")
def test_what_goes_wrong_and_what_is_written_is_shown(call: Call) -> None:
    said = call("sandbox", "shell", stdin="open('made.txt', 'w').write('x')\n1 / 0\n")
    assert said.exit_code == 1
    assert said.stdout == ""
    assert "[made.txt, 1 bytes]" in said.stderr
    assert "ZeroDivisionError: division by zero" in said.stderr


@pytest.mark.usefixtures("unsafe")
def test_a_sandbox_that_is_not_there_is_named(call: Call) -> None:
    said = call("sandbox", "shell", "pyhton")
    assert said.exit_code == 3
    assert 'error[E307]: there is no sandbox "pyhton"' in said.stderr


@pytest.mark.usefixtures("project", "no_engine")
def test_without_an_engine_there_is_nothing_to_build_or_to_clean(call: Call) -> None:
    for verb in ("build", "gc"):
        said = call("sandbox", verb)
        assert said.exit_code == 5
        assert "error[E507]: there is no container engine" in said.stderr
        assert "none.sock: No such file or directory" in said.stderr


def test_at_a_terminal_statements_end_and_calls_are_interrupted_as_in_python(unsafe: Path) -> None:
    with at_terminal(unsafe, "sandbox", "shell") as person:
        person.see("Ctrl-D leaves")
        person.type("for n in range(2):\n    print('n is', n)\n\n")
        person.see("n is 1")
        person.type("kept = 41\nimport time\n")
        person.type("while True: print('go' + 'ing'); time.sleep(60)\n\n")
        person.see("going")
        person.press("C")
        person.see("interrupted; variables kept")
        person.type("kept + 1\n")
        person.see("42")
        person.see("› ")  # before it, Ctrl-D would go to a terminal that nobody reads
        person.press("D")
        assert person.leave() == 0


def test_a_build_is_a_bar_on_a_terminal_and_steps_elsewhere() -> None:
    terminal = Terminal(columns=60)
    progress = BuildProgress(terminal.screen())
    progress.hear("Step 3/4 : RUN pip install everything")
    progress.hear("Collecting everything-1.0")
    bar, line = terminal.shown().splitlines()
    assert bar.startswith("█" * 12 + "░" * 12 + " 2/4")
    assert "RUN pip install" in bar
    assert line == "  Collecting everything-1.0"
    progress.end()
    assert terminal.shown() == ""


def test_layers_that_are_pulled_are_counted() -> None:
    terminal = Terminal(columns=80)
    progress = BuildProgress(terminal.screen())
    progress.hear("3.12-slim: Pulling from library/python")
    for layer in ("1a2b3c4d5e6f", "2a2b3c4d5e6f"):
        progress.hear(f"{layer}: Pulling fs layer")
    progress.hear("1a2b3c4d5e6f: Pull complete")
    bar, line = terminal.shown().splitlines()
    assert bar.startswith("█" * 12 + "░" * 12 + " 1/2")
    assert bar.endswith("Pulling from library/python")
    assert line == "  1a2b3c4d5e6f: Pull complete"


@pytest.mark.usefixtures("no_engine")
def test_the_list_says_why_not_in_full(project: Path, call: Call) -> None:
    with (project / "agents.toml").open("a") as file:
        file.write('[sandboxes.python]\ndriver = "docker"\n')
    said = call("sandbox").stdout
    assert "none    code cannot be run" in said
    assert "not docker (cannot connect to unix://" in said
    assert "run Docker or set DOCKER_HOST" in said


@pytest.mark.usefixtures("unsafe", "no_engine")
def test_only_what_runs_in_a_container_has_an_image(call: Call) -> None:
    said = call("sandbox", "build", "python")
    assert said.exit_code == 5
    assert 'sandbox "python" has no image: it runs in unsafe-local' in said.stderr
    assert (call("sandbox", "build").exit_code, call("sandbox", "build").stdout) == (0, "")


def test_an_image_is_built_listed_and_removed_when_nothing_uses_it(
    engine: DockerEngine, docker_image: str, project: Path, call: Call
) -> None:
    folder = project / "sandboxes" / "python"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM {docker_image}\nLABEL made={time.monotonic()}\n")
    call("sandbox", "gc")  # what other tests have left on this engine
    built = call("sandbox", "build")
    assert built.exit_code == 0, built.stderr
    assert "Step 1/2" in built.stderr
    old = built.stdout.strip()
    assert old.startswith("agentrt/python:")
    assert "Step" not in call("sandbox", "build", "python").stderr
    listed = json.loads(call("sandbox", "list", "--json").stdout)
    assert [(one["name"], one["driver"]) for one in listed["sandboxes"]] == [("python", "docker")]
    (folder / "Dockerfile").write_text(f"FROM {docker_image}\nLABEL made={time.monotonic()}\n")
    new = json.loads(call("sandbox", "build", "--json").stdout)["python"]
    assert new != old
    client = engine.client()
    just_made, running = (client.create_container(new, ["sleep", "60"], labels={LABEL: "python"}) for _ in range(2))
    client.start(running)
    assert {box["state"] for box in json.loads(call("sandbox", "list", "--json").stdout)["boxes"]} >= {"running"}
    assert json.loads(call("sandbox", "gc", "--json").stdout)["images"] == 1
    for container in (just_made, running):
        client.remove_container(container, force=True)  # it is still there
    tags = {tag for image in client.images(name="agentrt/python") for tag in image["RepoTags"]}
    client.close()
    assert new in tags
    assert old not in tags


def test_a_build_that_fails_shows_its_last_lines(
    engine: DockerEngine, docker_image: str, project: Path, call: Call
) -> None:
    folder = project / "sandboxes" / "python"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM {docker_image}\nRUN echo about to fail && false\n")
    said = call("sandbox", "build")
    assert said.exit_code == 5
    assert "about to fail" in said.stderr
    assert "fix: correct [sandboxes.python] or its Dockerfile" in said.stderr
