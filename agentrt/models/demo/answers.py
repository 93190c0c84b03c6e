"""Tool results as sentences: JSON in words, errors plainly, passages with their citation markers."""

from __future__ import annotations

import re

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.models.demo.coding import written_paths
from agentrt.models.demo.hosted import CODE, SEARCH
from agentrt.models.demo.jsontext import read_json
from agentrt.models.demo.passages import answer_from_passages
from agentrt.models.demo.turn import Step, Turn
from agentrt.models.demo.words import join_words, shorten

_MAX_OUTPUT = 1_500
_MAX_ITEMS = 10
_MAX_DEPTH = 4
_FAILED = re.compile(
    r"\s{0,20}(?:[\w.]{0,60}error|failed|failure|exception|traceback|interrupted)\b(\s*:\s*(?=\S))?", re.IGNORECASE
)
# What agentrt adds to the output of code for the model alone.
_NOTE = re.compile(r"^\[(?:Saved for the user|This is a new session|\d{1,3} images? )[^\n]*\]$\n?", re.MULTILINE)
_PRINTED_EXPRESSION = re.compile(r"(?:from math import sqrt\n\n)?print\(([-+*/%(). \dsqrt]{3,200})\)")
_ERROR_KEYS = ("error", "errors", "exception", "error_message")
_LOG_KEYS = ("logs", "stdout", "output", "result", "text")


def tell_results(turn: Turn) -> str:
    """An answer from everything that the calls of this turn returned."""
    question = turn.text
    searches = [step for step in turn.steps if step.name == SEARCH]
    others = [step for step in turn.steps if step.name != SEARCH]
    parts = [_tell_code(step) if step.name == CODE else "" for step in others]
    functions = [step for step in others if step.name != CODE]
    if len(functions) == 1:
        parts.append(_sentence(functions[0]))
    elif functions:
        parts.append("\n".join(f"- {_labelled(step, functions)}" for step in functions))
    if searches:
        outputs = [step.output or "" for step in searches]
        failure = next((reason for output in outputs if (reason := error_in(output))), None)
        parts.append(f"The search failed: {failure}." if failure else answer_from_passages(outputs, question))
    return "\n\n".join(part for part in parts if part)


def in_words(value: JsonValue, depth: int = 0) -> str:
    """JSON as a person would say it: {"temp_c": 4, "sky": "clear"} is `temp c: 4, sky: clear`."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int() | float():
            return str(value)
        case list():
            return _list_in_words(value, depth)
        case dict():
            if depth >= _MAX_DEPTH:
                return f"{len(value)} entries"
            pairs = [f"{_spoken(key)}: {_nested(item, depth)}" for key, item in list(value.items())[: _MAX_ITEMS * 2]]
            return ", ".join(pairs) if pairs else "nothing"


def error_in(output: str) -> str | None:
    """What went wrong, when a result says that something did; None when it does not."""
    value = read_json(output)
    if isinstance(value, dict):
        for key in _ERROR_KEYS:
            if value.get(key):
                inner = value[key]
                message = inner.get("message", inner) if isinstance(inner, dict) else inner
                return shorten(in_words(message).rstrip(". "), 300)
        if value.get("ok") is False or value.get("success") is False or value.get("status") == "error":
            return shorten(in_words(value.get("message", value)).rstrip(". "), 300)
        return None
    if not isinstance(value, str):
        return None
    failed = _FAILED.match(value)
    if not failed:
        return None
    lines = [line for line in value[-4_000:].strip().splitlines() if line.strip()]
    is_traceback = value.lstrip().lower().startswith("traceback")
    said = lines[-1] if is_traceback and lines else value[failed.end() :] if failed.group(1) else value
    return shorten(said.strip().rstrip(". "), 300)


def _sentence(step: Step) -> str:
    said = _said(step)
    if said is None:
        return f"`{step.name}` has not returned anything yet."
    failure = error_in(step.output or "")
    if failure:
        return f"`{step.name}` failed: {failure}. I have not tried again."
    label = _label(step)
    if "\n" in said or said.endswith((".", "!", "?")) or _is_prose(step, said) or (label and label in said):
        return said
    return f"{label or f'`{step.name}`'}: {said}."


def _labelled(step: Step, steps: list[Step]) -> str:
    """One line of a list: labelled by its arguments, or by its tool when these do not tell the lines apart.

    A sentence that names the arguments itself needs no label.
    """
    labels = [_label(other) for other in steps]
    label = _label(step)
    failure = error_in(step.output or "")
    said = _said(step)
    if not label or labels.count(label) > 1:
        label = f"`{step.name}`" + (f" {label}" if label else "")
    elif said is not None and not failure and _is_prose(step, said) and _names_arguments(step, said):
        return said
    return f"{label}: failed, {failure}" if failure else f"{label}: {'no result yet' if said is None else said}"


def _said(step: Step) -> str | None:
    if step.output is None:
        return None
    said = in_words(read_json(step.output)).strip()
    if not said:
        return "done (it returned nothing)"
    if len(said) > _MAX_OUTPUT:
        return f"{said[:_MAX_OUTPUT].rsplit(None, 1)[0]} … ({len(said) - _MAX_OUTPUT} characters more)"
    return said


def _is_prose(step: Step, said: str) -> bool:
    return len(said.split()) >= 5 and isinstance(read_json(step.output or ""), str)


def _names_arguments(step: Step, said: str) -> bool:
    return all(in_words(v) in said for v in (step.arguments or {}).values() if not isinstance(v, (dict, bool)))


def _label(step: Step) -> str:
    """What a call was about: its arguments, numbers with their names."""
    values = [
        in_words(value) if isinstance(value, (str, list)) else f"{_spoken(name)} {in_words(value)}"
        for name, value in (step.arguments or {}).items()
        if isinstance(value, (str, list)) or (isinstance(value, (int, float)) and not isinstance(value, bool))
    ]
    return shorten(", ".join(values[:3]), 60)


def _tell_code(step: Step) -> str:
    code = str((step.arguments or {}).get("code", ""))
    if step.output is None:
        return "The code has not returned anything yet."
    output = _NOTE.sub("", step.output)
    failure = error_in(output)
    if failure:
        return f"The code failed: {failure}."
    said = _logs(read_json(output)).strip()
    printed = _PRINTED_EXPRESSION.fullmatch(code)
    if printed and said and "\n" not in said:
        return f"{printed.group(1)} = {said}"
    if not said:
        said = "The chart is drawn." if "plt." in code else "The code ran and printed nothing."
    if len(said) > _MAX_OUTPUT:
        said = f"{said[:_MAX_OUTPUT]}\n… ({len(said) - _MAX_OUTPUT} characters more)"
    links = [f"[{path.rsplit('/', 1)[-1]}](sandbox:{path})" for path in written_paths(code)]
    return "\n".join([said, *links])


def _logs(value: JsonValue) -> str:
    if isinstance(value, dict):
        logs = next((value[key] for key in _LOG_KEYS if isinstance(value.get(key), str)), None)
        return logs if isinstance(logs, str) else in_words(value)
    return in_words(value)


def _list_in_words(items: list[JsonValue], depth: int) -> str:
    if not items:
        return "nothing"
    if depth >= _MAX_DEPTH:
        return f"{len(items)} entries"
    shown = [in_words(item, depth + 1) for item in items[:_MAX_ITEMS]]
    more = [f"{len(items) - _MAX_ITEMS} more"] if len(items) > _MAX_ITEMS else []
    if any(isinstance(item, (dict, list)) for item in items) and depth == 0:
        return "".join(f"\n- {line}" for line in [*shown, *more]).strip("\n")
    return join_words([*shown, *more])


def _nested(value: JsonValue, depth: int) -> str:
    words = in_words(value, depth + 1)
    return f"({words})" if isinstance(value, dict) and value else words


def _spoken(key: str) -> str:
    return " ".join(key.replace("_", " ").split()) or key


def flat_values(value: JsonObject) -> JsonObject:
    """The scalars of a nested object by their innermost name, the first of a name wins."""
    flat: JsonObject = {}
    queue: list[tuple[str, JsonValue]] = list(value.items())
    for name, item in queue:
        if isinstance(item, dict) and len(queue) < 500:
            queue += item.items()
        else:
            flat.setdefault(name, item)
    return flat
