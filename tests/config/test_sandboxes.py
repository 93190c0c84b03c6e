"""What [sandboxes.*] means, and what is wrong with one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentrt.config.load import load_config
from agentrt.config.quantities import parse_duration, parse_size
from agentrt.config.sandbox_table import SandboxPoolTable, SandboxTable
from agentrt.config.schema import SandboxLimits, SandboxSpec
from agentrt.secret import Secret
from tests.config.conftest import ProjectFolder
from tests.config.test_load import EVERYTHING

MB = 1024**2
SCIENCE = EVERYTHING[EVERYTHING.index("[sandboxes.science]") : EVERYTHING.index("[agents.helper]")]


def test_python_is_there_without_any_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sandbox = load_config(None, environ={}).sandboxes["python"]
    assert (sandbox.driver, sandbox.image, sandbox.network, sandbox.pool) == ("auto", None, (), 0)
    assert sandbox.limits == SandboxLimits(memory_bytes=512 * MB, cpus=1.0, processes=128, disk_bytes=256 * MB)
    assert (sandbox.timeout_s, sandbox.idle_s, sandbox.life_s) == (60, 3600, None)
    assert sandbox.build is not None
    assert (sandbox.build / "Dockerfile").is_file()


def test_a_projects_own_folder_goes_before_the_bundled_one(project: ProjectFolder) -> None:
    project.write("sandboxes/python/Dockerfile", "FROM scratch\n")
    assert project.load("").sandboxes["python"].build == project.folder / "sandboxes/python"


def test_every_key_of_a_sandbox_means_something(project: ProjectFolder) -> None:
    project.write("boxes/small/Dockerfile", "FROM scratch\n")
    sandboxes = project.load(SCIENCE).sandboxes
    assert list(sandboxes) == ["science", "small", "python"]
    assert sandboxes["science"] == SandboxSpec(
        name="science",
        driver="docker",
        image="registry.example.com/science:3",
        packages=("scipy>=1.14", "pandas[excel]==2.2.3"),
        limits=SandboxLimits(memory_bytes=1024 * MB, cpus=2.0, processes=64, disk_bytes=100 * MB),
        timeout_s=120,
        idle_s=None,
        life_s=86400,
        network=("api.example.com", "*.example.com:8080"),
        environment={"TZ": Secret("UTC")},
        pool=1,
        max_sessions=3,
        runtime="runsc",
    )
    assert sandboxes["small"].build == project.folder / "boxes/small"


def test_a_preset_fills_in_what_the_table_does_not_say(project: ProjectFolder) -> None:
    strict = project.load('[sandboxes.s]\npreset = "strict"\ncpus = 1\n').sandboxes["s"]
    assert strict.limits == SandboxLimits(memory_bytes=256 * MB, cpus=1.0, processes=32, disk_bytes=64 * MB)
    assert (strict.timeout_s, strict.idle_s) == (30, 900)


def test_the_preset_network_reaches_the_index_that_pip_asks(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = '[sandboxes.s]\npreset = "network"\n'
    assert len(project.load(preset).sandboxes["s"].network) == 2  # by the word of the pip that is installed here
    own = ("packages.example.com", "files.example.com")
    pip = SimpleNamespace(PyPI=SimpleNamespace(netloc=own[0], file_storage_domain=own[1]))
    monkeypatch.setitem(sys.modules, "pip._internal.models.index", pip)
    assert project.load(preset).sandboxes["s"].network == own
    assert project.load(preset + 'network = "none"\n').sandboxes["s"].network == ()
    more = (
        'environment = { PIP_EXTRA_INDEX_URL = "https://a.example.com/simple file:///here http://b.example.com:81" }\n'
    )
    assert project.load(preset + more).sandboxes["s"].network == (*own, "a.example.com", "b.example.com:81")
    other = 'environment = { PIP_INDEX_URL = "https://user:key@mirror.example.com/simple" }\n'
    assert project.load(preset + other).sandboxes["s"].network == ("mirror.example.com",)


def test_where_no_pip_says_its_index_the_hosts_have_to_be_listed(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip._internal.models.index", None)
    preset = '[sandboxes.s]\npreset = "network"\n'
    problem = project.problem(preset)
    assert 'sandboxes.s.preset: preset "network" reaches the index that pip asks' in problem
    assert 'network = ["packages.example.com"]' in problem
    assert project.load(preset + 'network = ["api.example.com"]\n').sandboxes["s"].network == ("api.example.com",)


def test_a_sandbox_that_isolates_nothing_is_a_warning(project: ProjectFolder) -> None:
    [warning] = project.load('[sandboxes.python]\ndriver = "unsafe-local"\n').warnings
    assert "nothing isolates it" in warning


@pytest.mark.parametrize(
    ("keys", "where", "what", "fix"),
    [
        ('driver = "dokcer"', "2:10", '"dokcer" is none of auto, docker,', 'did you mean "docker"?'),
        (
            'network = "api.example.com"',
            "2:11",
            '"api.example.com" is no list of hosts',
            '"none", or a list: ["api.example.com"]',
        ),
        ('network = ["https://api.example.com"]', "2:12", "is not a host name", '"*.example.com"'),
        ('memory = "1MB"', "2:10", '"1MB" is too small', "at least"),
        ('packages = ["a b"]', "2:13", '"a b" is not a package', "scikit-learn>=1.5"),
        ('packages = ["-r x.txt"]', "2:13", "is not a package", "such as"),
        ('build = "nowhere"', "2:9", "there is no Dockerfile in", "starts at the folder"),
        ('build = "box"\nimage = "x"', "2:1", "one of `image` and `build`", "keep one"),
        ('driver = "monty"\nimage = "x"', "3:1", 'driver "monty" has no use for it', 'driver = "docker"'),
        ('preset = "strict"\nnetwork = ["api.example.com"]', "3:1", 'preset "strict" has no network', '"network"'),
        ('disk = "600MB"', "2:8", "/mnt/data is memory", "raise `memory`"),
        ('pool = { ttl = "soon" }', "2:16", '"soon" is not a duration', "0 for no end"),
        ("pool = { warm = 9, max = 8 }", "2:17", "more warm sandboxes", "lower `warm`"),
        ("pool = { size = 9 }", "2:10", "unknown key", "sandboxes.s.pool has warm, max, ttl and life"),
    ],
)
def test_each_problem_names_place_reason_and_remedy(
    project: ProjectFolder, keys: str, where: str, what: str, fix: str
) -> None:
    project.write("box/Dockerfile", "FROM scratch\n")
    problem = project.problem(f"[sandboxes.s]\n{keys}\n")
    first, *_, last = problem.splitlines()
    assert first.startswith(f"agents.toml:{where}: ")
    assert what in first
    assert fix in last


def test_defaults_are_written_down_as_they_are() -> None:
    def default(table: type[SandboxTable] | type[SandboxPoolTable], key: str) -> object:
        extra = table.model_fields[key].json_schema_extra
        assert isinstance(extra, dict)
        return extra["default"]

    assert parse_size(default(SandboxTable, "memory")) == SandboxTable().memory
    assert parse_size(default(SandboxTable, "disk")) == SandboxTable().disk
    assert parse_duration(default(SandboxTable, "timeout")) == SandboxTable().timeout
    assert parse_duration(default(SandboxPoolTable, "ttl")) == SandboxPoolTable().ttl


def test_values_of_variables_are_not_shown(project: ProjectFolder) -> None:
    problem = project.problem('[sandboxes.s]\nenvironment = { A = "a-secret-value", B = 5 }\n')
    assert "a-secret-value" not in problem
