"""Whatever stands in agents.toml: the answer is a Config or problems with places, never another exception."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrt.config.explain import toml_value
from agentrt.config.load import load_config
from agentrt.config.positions import KeyPath
from agentrt.errors import ConfigError
from tests.config.test_load import EVERYTHING

TREE = tomllib.loads(EVERYTHING)
NAMES = ["version", "include", "runtime", "server", "keys", "models", "tools", "agents", "limits", "helper", "fast"]

texts = st.sampled_from(["", "x", "${", "${A}", "${A:-1}", "demo", "fast", "helper", "tools/x.py:f", "*", "60s", "1KB"])
scalars = st.one_of(texts, st.integers(-3, 99_999), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=5,
)


def paths(tree: object, above: KeyPath = ()) -> Iterator[KeyPath]:
    if above:
        yield above
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, below in items:
        yield from paths(below, (*above, key))


PATHS = sorted(paths(TREE), key=str)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), values), min_size=1, max_size=4))
def test_a_document_with_anything_anywhere_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[tuple[KeyPath, object]]
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = copy.deepcopy(TREE)
    for path, value in changes:
        replace(tree, path, value)
    text = "\n".join(f"{key} = {toml_value(value)}" for key, value in tree.items())
    assert tomllib.loads(text) == tree
    (tmp_path / "agents.toml").write_text(text, encoding="utf-8")
    try:
        load_config(Path("agents.toml"), environ={"A": "1", "PGPASSWORD": "pw", "WEB_KEY": "k" * 20})
    except ConfigError as error:
        for problem in error.problems:
            assert re.match(r"agents\.toml:\d+:\d+: ", problem) or "dotagents" in problem


def replace(tree: dict[str, object], path: KeyPath, value: object) -> None:
    here: object = tree
    for part in path[:-1]:
        match here:
            case dict() if part in here:
                here = here[part]
            case list() if isinstance(part, int) and part < len(here):
                here = here[part]
            case _:
                return  # another change took it away
    if isinstance(here, dict):
        here[str(path[-1])] = value
