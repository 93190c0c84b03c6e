"""The queries in the arguments of a file_search call, as models write them. Pure.

Asked for is `{"queries": ["…", "…"]}`. Taken is also one query alone, as a string or under another name, a list, and
text that is no JSON at all.
"""

from __future__ import annotations

import json
import re
from typing import Final

from agentrt.engine.message import JsonValue
from agentrt.runtime.turn import storable

MAX_QUERIES: Final = 8
MAX_QUERY_CHARS: Final = 2_000

_NAMES: Final = ("queries", "query", "q", "search_query", "search_queries", "question", "text", "input")
_FENCE: Final = re.compile(r"\s*```[a-zA-Z0-9]*[ \t]*\n(.*?)\n?```\s*", re.DOTALL)
_HOW: Final = 'Call it with {"queries": ["…"]}.'

NO_QUERIES: Final = f"There was no query in the arguments. {_HOW}"
BROKEN: Final = f"The arguments are not valid JSON. {_HOW}"


def read_queries(arguments: str) -> tuple[str, ...]:
    """The queries, each once, at most MAX_QUERIES. Raises ValueError with what a model can mend."""
    text = match[1] if (match := _FENCE.fullmatch(arguments)) else arguments
    try:
        texts = _texts(json.loads(text))
    except (ValueError, RecursionError):
        if text.lstrip()[:1] in ("{", "["):
            raise ValueError(BROKEN) from None
        texts = [text]
    found: dict[str, str] = {}
    for query in texts:
        words = " ".join(storable(query).split())[:MAX_QUERY_CHARS]
        if words:
            found.setdefault(words.casefold(), words)
    if not found:
        raise ValueError(NO_QUERIES)
    return tuple(found.values())[:MAX_QUERIES]


def _texts(value: JsonValue) -> list[str]:
    match value:
        case str():
            return [value]
        case bool() | None:
            return []
        case int() | float():
            return [str(value)]
        case list():
            return [text for item in value for text in _texts(item)]
        case dict():
            named = [value[name] for name in _NAMES if value.get(name)]
            if named:
                return _texts(named[0])
            return [item for item in value.values() if isinstance(item, str)] if len(value) == 1 else []
