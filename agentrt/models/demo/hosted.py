"""The hosted tools: when they are wanted, and the one shape in which they are called.

A call of a hosted tool is a function call of this model, like any other:

    code_interpreter   {"code": "print(6 * 7)"}          Python, run as it is; what it prints is the result
    file_search        {"queries": ["refund policy"]}    at least one query, best first

The runtime decides how they run and gives back text; passages of a search carry markers like 【4:0†source】.
They are offered as CodeInterpreterTool and FileSearchTool, or as functions of these names with these parameters.
"""

from __future__ import annotations

import re

from agentrt.engine.spec import CodeInterpreterTool, FileSearchTool, FunctionTool, ToolSpec
from agentrt.models.demo.coding import ABOUT_FILES, LIST_FILES, write_code
from agentrt.models.demo.schema import as_object
from agentrt.models.demo.turn import PlannedCall, Turn
from agentrt.models.demo.words import shorten

CODE = "code_interpreter"
SEARCH = "file_search"
_PARAMETERS = {CODE: "code", SEARCH: "queries"}
_LONGEST_QUERY = 300
_QUESTION = re.compile(
    r"\W*(?:(?:please|so|and|but|ok(?:ay)?|hey|hi|hello)\W+){0,3}"
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|"
    r"should|may|will|explain|describe|define|tell me|summari[sz]e)\b|.*\?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_SEARCH_ORDER = re.compile(
    r"\b(?:search|find|look\s+(?:up|for|in)|check|according to|quote)\b|"
    r"\b(?:documents?|docs|handbook|manual|guide|policy|policies|knowledge base|pdf|"
    r"(?:my|the|our|uploaded|attached) files?)\b",
    re.IGNORECASE,
)
_SEARCH_LEAD = re.compile(
    r"\W*(?:please\s+)?(?:can you\s+|could you\s+)?(?:search|look|find|check)\s+"
    r"(?:(?:in|through|up|at|for)\s+)?(?:(?:the|my|our|all)\s+)?(?:uploaded\s+|attached\s+)?"
    r"(?:(?:documents?|docs|files?|handbook|manual|knowledge base)\s+)?(?:for|about|on)?\s*",
    re.IGNORECASE,
)


def is_hosted(tool: ToolSpec, name: str) -> bool:
    """Whether the tool is the hosted one of this name, offered as itself or as a function of its shape."""
    match tool:
        case CodeInterpreterTool():
            return name == CODE
        case FileSearchTool():
            return name == SEARCH
        case FunctionTool():
            return tool.name == name and _PARAMETERS[name] in as_object(
                as_object(tool.parameters or {}).get("properties")
            )


def code_call(code: str) -> PlannedCall:
    return PlannedCall(CODE, {"code": code})


def search_call(query: str) -> PlannedCall:
    return PlannedCall(SEARCH, {"queries": [query]})


def plan_code(turn: Turn) -> PlannedCall | None:
    """The code that the last words ask for, None when they ask for none."""
    code = write_code(turn)
    return code_call(code) if code else None


def plan_file_list(turn: Turn) -> PlannedCall | None:
    """Code that looks what files there are, for a question about files that no search can answer."""
    return code_call(LIST_FILES) if ABOUT_FILES.search(turn.text) else None


def force_code(turn: Turn) -> PlannedCall:
    """Code that must be run: what is asked for, else counting the words, the one thing that every text allows."""
    return plan_code(turn) or code_call(f"text = {shorten(turn.text, 200)!r}\nprint(len(text.split()), 'words')")


def is_question(turn: Turn) -> bool:
    return bool(turn.text) and _QUESTION.match(turn.text) is not None


def plan_search(turn: Turn) -> PlannedCall | None:
    """The search that a question asks for, None when the last words are no question."""
    return force_search(turn) if is_question(turn) or _SEARCH_ORDER.search(turn.text) else None


def force_search(turn: Turn) -> PlannedCall:
    """A search for the topic of the last words."""
    lead = _SEARCH_LEAD.match(turn.text)
    query = turn.sentence.said_about() or turn.text[lead.end() if lead else 0 :]
    return search_call(
        shorten(query.strip(" \t\n.,;:!?\"'“”"), _LONGEST_QUERY) or shorten(turn.text, _LONGEST_QUERY) or "overview"
    )
