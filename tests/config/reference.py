"""What is made from the tables of `agentrt/config/document.py`: the editors' schema and the key lists in the docs.

`python -m tests.config.reference` writes both anew; the tests compare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from agentrt.config.editor_schema import SCHEMA_FILE, config_schema
from agentrt.config.explain import toml_value
from agentrt.config.schema import JsonObject

DOCS_FILE = Path(__file__).parents[2] / "docs" / "agents-toml.md"

_BLOCK = re.compile(r"(<!-- keys of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def schema_text() -> str:
    return json.dumps(config_schema(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def with_key_lists(page: str) -> str:
    """The page with every block between `<!-- keys of TABLE -->` and `<!-- end -->` made anew."""
    tables = dict(_tables("", config_schema()))
    return _BLOCK.sub(lambda match: f"{match[1]}{_key_list(tables[match[2]])}{match[3]}", page)


def documented_tables(page: str) -> list[str]:
    return [match[2] for match in _BLOCK.finditer(page)]


def table_names() -> list[str]:
    return [name for name, _ in _tables("", config_schema())]


def _tables(name: str, schema: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Every table that has keys of its own: `server`, `server.keys`, `models.*`, `models.*.price`, …"""
    properties = cast(dict[str, JsonObject], schema.get("properties", {}))
    if properties:
        yield name or "agents.toml", schema
    for key, below in properties.items():
        path = f"{name}.{key}".lstrip(".")
        if below.get("type") == "object" and isinstance(below.get("additionalProperties"), dict):
            yield from _tables(f"{path}.*", cast(JsonObject, below["additionalProperties"]))
        elif below.get("type") == "array":
            yield from _tables(path, cast(JsonObject, below["items"]))
        elif below.get("type") == "object":
            yield from _tables(path, below)


def _key_list(schema: JsonObject) -> str:
    required = cast(list[str], schema.get("required", []))
    lines = ["| key | default | what it says | such as |", "| --- | --- | --- | --- |"]
    for key, below in cast(dict[str, JsonObject], schema["properties"]).items():
        default = f"`{toml_value(below['default'])}`" if below.get("default") not in (None, [], "") else ""
        default = "needed" if key in required else default
        examples = cast(list[object], below.get("examples") or [])
        example = f"`{key} = {toml_value(examples[0])}`" if examples else ""
        choices = ", ".join(f"`{choice}`" for choice in cast(list[object], below.get("enum", [])))
        meaning = f"{below.get('description', '')}{f' One of {choices}.' if choices else ''}"
        cells = [f"`{key}`", default, meaning, example]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    DOCS_FILE.write_text(with_key_lists(DOCS_FILE.read_text(encoding="utf-8")), encoding="utf-8")
