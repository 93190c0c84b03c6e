"""The editors' schema and the page in docs/ say what the code says; `python -m tests.config.reference` renews both."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from agentrt.config.document import Document, RuntimeLimitsTable, RuntimeTable
from agentrt.config.editor_schema import SCHEMA_FILE, config_schema, write_schema
from agentrt.config.load import load_config
from agentrt.config.model_table import ModelTable
from agentrt.config.quantities import parse_duration, parse_size
from tests.config.reference import DOCS_FILE, documented_tables, schema_text, table_names, with_key_lists
from tests.config.test_load import EVERYTHING

ROOT = Path(__file__).parents[2]


def errors_of(text: str) -> list[str]:
    validator = jsonschema.Draft7Validator(config_schema())
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


def test_the_shipped_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_the_reference_lists_every_key_of_every_table() -> None:
    page = DOCS_FILE.read_text(encoding="utf-8")
    assert sorted(documented_tables(page)) == sorted(table_names())
    assert page == with_key_lists(page)


def test_the_schema_is_one_and_accepts_what_the_loader_accepts() -> None:
    jsonschema.Draft7Validator.check_schema(config_schema())
    assert errors_of(EVERYTHING) == []
    assert errors_of((ROOT / "agents.toml").read_text(encoding="utf-8")) == []
    assert (
        errors_of('[server]\nport = "${PORT}"\n[runtime]\nrun_expiry = "${E}"\n[models.a]\nprovider = "demo"\n') == []
    )


def test_the_schema_says_what_is_wrong_in_words_for_people() -> None:
    assert errors_of('[server]\nport = "soon"\n') == ["'soon' is not of type 'integer'"]
    assert errors_of('[models.m]\nprovider = "azure"\nmodel = "x"\n') == ["'base_url' is a required property"]
    assert errors_of('[agents.a]\nresponse_format = "jsn"\n') == ["'jsn' is not one of ['auto', 'text', 'json_object']"]
    assert errors_of('[agents.a]\nmodl = "x"\n') == ["Additional properties are not allowed ('modl' was unexpected)"]


def test_defaults_are_written_down_as_they_are() -> None:
    properties = cast(dict[str, Any], config_schema()["properties"])
    runtime = properties["runtime"]["properties"]
    model = properties["models"]["additionalProperties"]["properties"]
    assert parse_duration(runtime["run_expiry"]["default"]) == RuntimeTable().run_expiry
    assert (
        parse_size(runtime["limits"]["properties"]["max_tool_output"]["default"])
        == RuntimeLimitsTable().max_tool_output
    )
    assert parse_duration(model["timeout"]["default"]) == ModelTable().timeout


def test_examples_of_every_key_are_valid() -> None:
    def table(cls: Any) -> dict[str, object]:
        return {name: field.examples[0] for name, field in cls.model_fields.items() if field.examples}

    examples = table(RuntimeTable) | {"limits": table(RuntimeLimitsTable)}
    Document.model_validate({"runtime": examples, "models": {"m": table(ModelTable)}})


def test_the_schema_can_be_put_beside_a_project(tmp_path: Path) -> None:
    target = write_schema(tmp_path)
    assert target == tmp_path / ".agentrt" / "agents.schema.json"
    assert json.loads(target.read_text(encoding="utf-8")) == config_schema()


def test_every_toml_example_of_the_page_is_toml() -> None:
    blocks = DOCS_FILE.read_text(encoding="utf-8").split("```toml\n")[1:]
    for block in blocks:
        assert errors_of(block.split("```")[0]) == []


@pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="the bundled tools are not in this tree")
def test_the_checkouts_own_file_loads_without_problem_or_warning() -> None:
    config = load_config(ROOT / "agents.toml", environ={})
    assert config.warnings == ()
    assert set(config.agents["helper"].tools) == set(config.tools)


# Beside the interpreter that runs the tests: its environment need not be on the PATH.
TAPLO = shutil.which("taplo", path=str(Path(sys.executable).parent)) or shutil.which("taplo")


@pytest.mark.skipif(TAPLO is None, reason="taplo is not installed")
def test_taplo_reports_the_value_and_what_it_should_be(tmp_path: Path) -> None:
    write_schema(tmp_path)
    (tmp_path / "agents.toml").write_text(
        '#:schema ./.agentrt/agents.schema.json\n[server]\nport = "soon"\n[models.m]\nprovider = "opnai"\n'
    )
    run = subprocess.run(
        [str(TAPLO), "lint", "--colors", "never", "agents.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "agents.toml:3:8" in run.stderr
    assert '"soon" is not of type "integer"' in run.stderr
    assert '"opnai" is not one of ["openai","azure","ollama","compatible","minilm","demo"]' in run.stderr
    assert run.stderr.count("error:") == 2
