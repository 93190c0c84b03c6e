"""Functions, classes and methods that nobody uses. Fields are left out: rows, bodies and events are read as wholes."""

from __future__ import annotations

import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("agentrt", "tools", "tests", "bench", "docs")
KINDS = {"function", "class", "method", "property", "import", "unreachable_code"}
OWN = ("agentrt", "tools")

CALLED_BY_OTHERS = {
    "__getattr__": "Python, for the lazy names of agentrt",
    "__dir__": "Python",
    "list_commands": "click",
    "get_command": "click",
    "format_commands": "click",
    "capture_signals": "uvicorn",
    "extract_cookies": "httpx",
    "get_route_handler": "FastAPI",
    "handle_startendtag": "html.parser",
    "handle_endtag": "html.parser",
    "handle_data": "html.parser",
    "connection_made": "asyncio",
    "connection_lost": "asyncio",
    "data_received": "asyncio",
    "pause_writing": "asyncio",
    "resume_writing": "asyncio",
    "field_title_should_be_set": "pydantic",
    "settings_customise_sources": "pydantic-settings",
    "getenv": "monty",
    "get_environ": "monty",
}
MONTY_ASKS = "path_"  # for everything about files: path_open, path_rename, …


def main() -> int:
    by_decorator = [
        "@tool*",
        "@*.get",
        "@*.post",
        "@*.delete",
        "@*route*",
        "@*.command*",
        "@*validator*",
        "@*listens_for*",
    ]
    scanner = Vulture(ignore_decorators=by_decorator)
    scanner.scavenge([str(ROOT / folder) for folder in FOLDERS if (ROOT / folder).exists()])
    found = [
        item
        for item in scanner.get_unused_code(min_confidence=60)
        if item.typ in KINDS
        and item.name not in CALLED_BY_OTHERS
        and not item.name.startswith(MONTY_ASKS)
        and item.filename.relative_to(ROOT).parts[0] in OWN
    ]
    for item in found:
        print(f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: nobody uses the {item.typ} {item.name}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
