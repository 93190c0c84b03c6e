"""Function calls that the user's words ask for: several tools or values, a follow-up, an answer to a question."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from agentrt.engine.message import JsonObject, Role
from agentrt.engine.spec import FunctionTool
from agentrt.models.demo.fields import Field, Hint, fields_of
from agentrt.models.demo.jsontext import read_object
from agentrt.models.demo.matching import Match, best_guess, rank_tools, tool_stems, values_given
from agentrt.models.demo.reading import Reading, read_arguments
from agentrt.models.demo.schema import Blueprint, required_names
from agentrt.models.demo.sentence import Sentence
from agentrt.models.demo.turn import PlannedCall, Turn
from agentrt.models.demo.words import name_stems, shorten, stem

_MAX_CALLS = 8
_ASK_SCORE = 4.5
_MAX_TRIED = 8
_TELLING = 3.0  # less is synonyms only
_CLAUSE = re.compile(r"[.!?;\n]\s+|,?\s+(?:and|then|plus|also)\s+(?:then\s+|also\s+)?|,\s+", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?\n])\s+")
_FOLLOW_UP = re.compile(r"(?:and|what about|how about|now|same for|the same for|also|then|or)\b", re.IGNORECASE)
_SHORT_FOLLOW_UP = re.compile(
    r"(?:in|for|on|at|to|from)\s+\w[\w' ,-]{0,40}[?.!]?|\w[\w',-]{0,30}(?:\s\w[\w',-]{0,30}){0,2}\?", re.IGNORECASE
)
_SEARCH_STEMS = frozenset(map(stem, ("search", "find", "lookup", "look", "query", "retrieve")))
_QUESTION = "To use `{tool}` I need {parameter}. What should it be?"
_ASKED = re.compile(r"To use `([^`]{1,100})` I need `([^`]{1,100})`")
_EXAMPLE = re.compile(
    r"(?:e\.g\.,?|for example|for instance|such as|like)\s+[\"'`“]?([^\"'`”);.]{1,80})", re.IGNORECASE
)
_GIVES_UP = re.compile(r"\W*(?:never ?mind|forget it|cancel|stop|no|nothing|skip it|don't)\b", re.IGNORECASE)


class Plan(msgspec.Struct, frozen=True):
    """calls: all that the last words ask for, also those made already. text: what is to be said when there are none."""

    calls: tuple[PlannedCall, ...] = ()
    text: str = ""


def plan_functions(turn: Turn, tools: Sequence[FunctionTool]) -> Plan:
    """The calls that the user's last words ask for."""
    if not tools or not turn.text or turn.is_cut:
        return Plan()
    answered = _answered_question(turn, tools)
    if answered is not None:
        return answered
    ranked = rank_tools(turn.text, tools, _given(turn))
    if not ranked or ranked[0].score < _TELLING:
        followed = _follow_up(turn, tools)
        if followed.calls or not ranked:
            return followed
    clauses = [clause for clause in _CLAUSE.split(turn.text)[:_MAX_CALLS] if clause.strip()]
    if len(clauses) > 1:
        several = _several_tools(turn, ranked, clauses)
        if several:
            return Plan(several)
    return _one_tool(turn, ranked, clauses)


def plan_search_function(turn: Turn, tools: Sequence[FunctionTool]) -> Plan:
    """A question that nothing else answers goes to a function that searches and requires nothing but a query."""
    for tool in tools:
        parameters = tool.parameters or {}
        if name_stems(tool.name).isdisjoint(_SEARCH_STEMS) or len(required_names(parameters)) != 1:
            continue
        blueprint = _blueprint(tool)
        field = next(
            (field for field in fields_of(blueprint.resolve(parameters), blueprint) if field.is_required), None
        )
        query = turn.sentence.again(tool_stems(tool)).topic()
        if field and field.hint is Hint.QUERY and query and blueprint.accepts({field.name: query}, parameters):
            return Plan((PlannedCall(tool.name, {field.name: query}),))
    return Plan()


def force_function(turn: Turn, tools: Sequence[FunctionTool]) -> tuple[PlannedCall, ...]:
    """A call that must be made: the best match, with its required arguments made up where the text has none."""
    tool = best_guess(turn.text, tools, _given(turn))
    if tool is None:
        return ()
    reading = _read(tool, turn.sentence)
    calls = _calls(tool, reading)
    if calls:
        return calls
    blueprint = Blueprint(tool.parameters or {})
    least = blueprint.minimal({"type": "object", "allOf": [tool.parameters or {}]})
    base: JsonObject = least if isinstance(least, dict) else {}
    guessed: JsonObject = {}
    for field in reading.missing:
        guess = next((text for text in _guesses(field, turn) if blueprint.accepts(text, field.schema)), None)
        if guess:
            guessed[field.name] = guess
    filled: JsonObject = {**base, **guessed, **reading.arguments}
    return (PlannedCall(tool.name, filled if blueprint.accepts(filled, tool.parameters or {}) else base),)


def _guesses(field: Field, turn: Turn) -> list[str]:
    """What a string that nobody gave may be: the example in its description, else the user's words."""
    example = _EXAMPLE.search(field.description)
    return [*([example.group(1).strip()] if example else []), shorten(turn.text, 200)]


def _several_tools(turn: Turn, ranked: list[Match], clauses: list[str]) -> tuple[PlannedCall, ...]:
    """Different clauses that are about different tools: "the weather in Oslo and the time in Rome"; else nothing."""
    tools = [match.tool for match in ranked]
    chosen: dict[str, tuple[FunctionTool, str]] = {}
    for clause in clauses:
        best = rank_tools(clause, tools)
        if best:
            chosen.setdefault(best[0].tool.name, (best[0].tool, clause))
    if len(chosen) < 2:
        return ()
    calls: list[PlannedCall] = []
    n_tools = 0
    for tool, clause in chosen.values():
        found = _calls(tool, _read(tool, Sentence(clause))) or _calls(tool, _read(tool, turn.sentence))
        calls += found
        n_tools += bool(found)
    return tuple(calls[:_MAX_CALLS]) if n_tools > 1 else ()


def _one_tool(turn: Turn, ranked: list[Match], clauses: list[str]) -> Plan:
    """The calls of one tool: of the best matches the one that has use for most of what the text gives."""
    best = ranked[0]
    chosen: tuple[float, tuple[PlannedCall, ...]] = (0.0, ())
    for match in ranked[:_MAX_TRIED]:
        if match.score < best.score * 0.6:
            break
        calls = _per_clause(match.tool, clauses)
        n_used = len(calls)
        if not calls:
            reading = _read_best(match.tool, turn)
            calls, n_used = _calls(match.tool, reading), reading.n_used
        fit = match.score + 0.75 * n_used
        if calls and fit > chosen[0]:
            chosen = (fit, calls)
    if chosen[1]:
        return Plan(chosen[1])
    if best.is_full or best.score >= _ASK_SCORE:
        missing = _read(best.tool, turn.sentence).missing
        return Plan(text=_ask(best.tool, missing[0])) if missing else Plan()
    return Plan()


def _per_clause(tool: FunctionTool, clauses: list[str]) -> tuple[PlannedCall, ...]:
    """One call for each clause that says it all: "5 km to miles and 10 kg to pounds"."""
    if len(clauses) < 2 or len(required_names(tool.parameters or {})) < 2:
        return ()
    found: list[PlannedCall] = []
    for clause in clauses:
        reading = _read(tool, Sentence(clause))
        if not reading.missing and reading.n_used > 1:
            found += [call for call in _calls(tool, reading) if call not in found]
    return tuple(found) if len(found) > 1 else ()


def _read_best(tool: FunctionTool, turn: Turn) -> Reading:
    """Read the sentence that is about the tool; the whole text when that one does not say enough."""
    sentences = _SENTENCE.split(turn.text)
    if len(sentences) > 1:
        scored = [(match[0].score, text) for text in sentences[:_MAX_CALLS] if (match := rank_tools(text, [tool]))]
        if scored:
            reading = _read(tool, Sentence(max(scored, key=lambda pair: pair[0])[1]))
            if not reading.missing:
                return reading
    return _read(tool, turn.sentence)


def _follow_up(turn: Turn, tools: Sequence[FunctionTool]) -> Plan:
    """And in Rome? – the last call again, with what is new."""
    if not (_FOLLOW_UP.match(turn.text) or _SHORT_FOLLOW_UP.fullmatch(turn.text)) or len(turn.text) > 120:
        return Plan()
    last = turn.previous_call
    tool = next((tool for tool in tools if last and tool.name == last.name), None)
    if tool is None or last is None:
        return Plan()
    optional: JsonObject = {**(tool.parameters or {}), "required": []}
    news = read_arguments(optional, turn.sentence, blueprint=_blueprint(tool), about=tool_stems(tool))
    if not news.arguments:
        return Plan()
    before = read_object(last.arguments) or {}
    merged = msgspec.structs.replace(news, arguments={**before, **news.arguments})
    return Plan(_calls(tool, merged))


def _answered_question(turn: Turn, tools: Sequence[FunctionTool]) -> Plan | None:
    """The user answers what was asked for a call; None when nothing was asked, or the talk moved on."""
    rounds = _question_rounds(turn)
    tool = next((tool for tool in tools if rounds and tool.name == rounds[-1][0]), None)
    if tool is None or _GIVES_UP.match(turn.text):
        return None
    other = rank_tools(turn.text, tools)
    if other and other[0].is_full and not _read(other[0].tool, turn.sentence).missing:
        return None
    arguments: JsonObject = {}
    reading = Reading({})
    for _, asked, text in rounds:
        reading = _read(tool, Sentence(text), known=arguments)
        arguments = dict(reading.arguments)
        bare = next((field for field in reading.missing if field.name == asked), None)
        if bare is not None:
            arguments |= _bare(tool, bare, text)
    missing = [field for field in reading.missing if field.name not in arguments]
    if missing:
        return Plan(text=_ask(tool, missing[0])) if len(turn.text.split()) <= 8 else None
    return Plan(_calls(tool, msgspec.structs.replace(reading, arguments=arguments, missing=())))


def _question_rounds(turn: Turn) -> list[tuple[str, str, str]]:
    """What was asked in a row for one tool, oldest first: (tool, parameter, the user's words).

    The first has the words it all began with, and no parameter.
    """
    rounds: list[tuple[str, str, str]] = []
    words = turn.text
    for message in reversed(turn.history):
        asked = _ASKED.search(message.text) if message.role is Role.ASSISTANT else None
        if message.role is Role.USER and rounds and not words:
            words = message.text
        elif asked and words and (not rounds or asked.group(1) == rounds[0][0]):
            rounds.insert(0, (asked.group(1), asked.group(2), words))
            words = ""
        elif message.role is not Role.SYSTEM:
            break
    if rounds and words:
        rounds.insert(0, (rounds[0][0], "", words))
    return rounds


def _bare(tool: FunctionTool, field: Field, text: str) -> JsonObject:
    """The whole answer as the value: "oslo" to "which city?"."""
    value = text.strip(" \t\n.,;:!?\"'“”`")
    return {field.name: value} if value and _blueprint(tool).accepts(value, field.schema) else {}


def _read(tool: FunctionTool, sentence: Sentence, *, known: JsonObject | None = None) -> Reading:
    schema = tool.parameters or {}
    return read_arguments(schema, sentence, blueprint=_blueprint(tool), about=tool_stems(tool), known=known)


def _calls(tool: FunctionTool, reading: Reading) -> tuple[PlannedCall, ...]:
    """The calls of a reading, one for each value of a list; none when an argument is missing or the schema says no."""
    if reading.missing:
        return ()
    all_arguments: list[JsonObject] = [reading.arguments]
    all_arguments += [{**reading.arguments, reading.repeated: value} for value in reading.others]
    blueprint = _blueprint(tool)
    return tuple(
        PlannedCall(tool.name, arguments)
        for arguments in all_arguments[:_MAX_CALLS]
        if blueprint.accepts(arguments, tool.parameters or {})
    )


def _ask(tool: FunctionTool, field: Field) -> str:
    return _QUESTION.format(tool=tool.name, parameter=field.label)


def _blueprint(tool: FunctionTool) -> Blueprint:
    return Blueprint(tool.parameters or {})


def _given(turn: Turn) -> dict[Hint, int]:
    return values_given(turn.sentence, asks_arithmetic=turn.asks_arithmetic)
