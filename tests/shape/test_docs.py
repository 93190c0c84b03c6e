"""Documents that match the code: every Python, JavaScript and TOML block works, every command and link exists."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import agentrt
from agentrt.cli.main import cli
from agentrt.config.load import load_config
from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.serving import Server
from agentrt.store.schema import metadata
from tests.compat.performance import leave_out
from tests.shape.documents import DOCUMENTS, ROOT, Block, anchors, blocks, links

ADDRESS = "http://127.0.0.1:8700"
NODE_MODULES = ROOT / "tests" / "compat" / "node" / "node_modules"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh project, as a checkout is one, to work in. No key of this machine is seen."""
    copy_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("AGENTRT", "OPENAI"))]:  # noqa: TID251 - to hide it
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service on the bundled project."""
    project = tmp_path_factory.mktemp("service")
    copy_project(project)
    app = create_app(Runtime(project / "agents.toml"))
    server = Server(app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_every_python_block_runs(
    block: Block, folder: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    text = block.text
    if ADDRESS in text:
        text = text.replace(ADDRESS, request.getfixturevalue("service"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    code = compile(text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    with warnings.catch_warnings():
        if "import openai" in text or "from openai" in text:  # it calls all its Assistants methods deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
        result = eval(code, namespace)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    if block.prints is not None:
        assert capsys.readouterr().out.strip() == block.prints.strip()
    app = namespace.get("app")
    if isinstance(app, FastAPI):
        with TestClient(app) as client:
            answer = client.get("/ai/healthz")
        assert answer.status_code == 200


@pytest.mark.parametrize("block", blocks("js"), ids=str)
def test_every_javascript_block_runs(block: Block, tmp_path: Path, service: str) -> None:
    if shutil.which("node") is None or not (NODE_MODULES / "openai").is_dir():
        leave_out("openai-node is not there: `make sdks` installs it, with npm")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    script = tmp_path / "block.mjs"
    script.write_text(block.text.replace(ADDRESS, service))

    done = subprocess.run(["node", script.name], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() != ""


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_every_toml_block_is_an_agents_toml(block: Block, folder: Path) -> None:
    file = folder / "block.toml"
    file.write_text(block.text)

    load_config(file, state_folder=folder)


@pytest.mark.parametrize("block", blocks("sh", "console"), ids=str)
def test_every_command_in_a_shell_block_exists_with_its_options(block: Block) -> None:
    for line in block.text.splitlines():
        match = re.match(r"(?:\$ )?(?:\.venv/bin/)?(agentrt [^|>#]*)", line.strip())
        if match is not None:
            check_command(shlex.split(match[1].replace("…", "X"))[1:], where=f"{block}: {line}")


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_every_make_target_in_a_shell_block_exists(block: Block) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE):
        assert target in targets


@pytest.mark.parametrize(
    ("document", "target"), links(), ids=[f"{d.relative_to(ROOT)}-{target}" for d, target in links()]
)
def test_every_link_leads_somewhere(document: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    linked = (document.parent / path).resolve() if path else document
    assert linked.exists()
    if anchor:
        assert anchor in anchors(linked)


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, left = set[Path](), [ROOT / "README.md"]
    while left:
        document = left.pop()
        if document not in reached:
            reached.add(document)
            targets = [(source.parent / to.partition("#")[0]).resolve() for source, to in links() if source == document]
            left += [target / "README.md" if target.is_dir() else target for target in targets]
    entries = set((ROOT / "docs" / "changes").glob("*.md"))  # of the next release: its changelog will hold them
    assert [document for document in DOCUMENTS if document not in reached | entries] == []


def test_every_public_name_is_explained() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    missing = [name for name in agentrt.__all__ if not re.search(rf"`(?:agentrt\.)?{name}\b", text)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_module_that_is_named_exists(document: Path) -> None:
    named = re.findall(r"`((?:agentrt/|tests/|tools/|docs/|bench/)?[a-z_]+(?:/[a-z_]+)*\.py)`", document.read_text())
    places = (ROOT, ROOT / "agentrt")
    missing = [name for name in named if "/" in name and not any((place / name).is_file() for place in places)]
    assert missing == []


def test_the_layers_are_those_that_the_checks_hold_the_code_to() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    shown = re.search(r"<!-- layers -->\n```text\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    rows = [re.split(r"\s{2,}", line)[0].split(" · ") for line in shown[1].splitlines()]

    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]

    assert rows == [layer.replace("agentrt.", "").split(" | ") for layer in contract["layers"]]


def test_the_tables_of_the_database_are_all_explained() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().partition("## The database")[2]
    first_columns = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)

    named = {name for column in first_columns for name in re.findall(r"`(\w+)`", column)}

    assert set(metadata().tables) <= named


def copy_project(folder: Path) -> None:
    shutil.copy(ROOT / "agents.toml", folder)
    for name in ("tools", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def check_command(words: list[str], *, where: str) -> None:
    """Follow the words through the groups, then compare the options."""
    command: click.Command = cli
    context = click.Context(cli, info_name="agentrt")
    options = {option for parameter in cli.params for option in parameter.opts}
    for word in words:
        name = word.partition("=")[0]
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(context, word)
            assert found is not None, f"no such command: {where}"
            command = found
            context = click.Context(command, parent=context, info_name=word)
            options |= {option for parameter in command.params for option in parameter.opts}
        elif word.startswith("-") and word not in ("-", "--help"):
            assert name in options, f"no such option {name}: {where}"


def test_the_checks_here_can_fail(folder: Path) -> None:
    with pytest.raises(AssertionError, match="no such option"):
        check_command(["serve", "--nonsense"], where="here")
    with pytest.raises(AssertionError, match="no such command"):
        check_command(["threads", "dance"], where="here")
    assert httpx.URL(ADDRESS).port == 8700
