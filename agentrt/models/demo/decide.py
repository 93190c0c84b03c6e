"""What the demo model does with a request: the order of its rules, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentrt.engine.spec import FunctionTool
from agentrt.models.client import ModelRequest
from agentrt.models.demo.answers import tell_results
from agentrt.models.demo.calls import Plan, force_function, plan_functions, plan_search_function
from agentrt.models.demo.hosted import (
    CODE,
    SEARCH,
    force_code,
    force_search,
    is_hosted,
    is_question,
    plan_code,
    plan_file_list,
    plan_search,
)
from agentrt.models.demo.instructions import follow_order, give_form, order_verbs
from agentrt.models.demo.memory import acknowledge, is_order_to_remember, is_unknown_fact, recall
from agentrt.models.demo.structured import json_answer
from agentrt.models.demo.talk import describe_images, forgotten, last_resort, small_talk, work_out
from agentrt.models.demo.turn import PlannedCall, Reply, Turn, read_turn
from agentrt.models.demo.words import name_stems, stem

_MAX_STEPS = 16  # calls in one turn; every call is made once, this is the second lock
_REFUSES_TOOLS = re.compile(
    r"\b(?:don't|do not|never|without)\s+(?:us(?:e|ing)\s+|call(?:ing)?\s+)?(?:(?:any|a|the|your)\s+)?"
    r"(?:tools?|functions?)\b",
    re.IGNORECASE,
)
_MEMORY_STEMS = frozenset(map(stem, ("remember", "memory", "memorize", "note", "save", "store", "fact")))


def decide(request: ModelRequest) -> Reply:
    """The answer to a request: the calls that are still to be made, else text.

    Every call is made at most once for a user message, so that results always end in an answer.
    """
    turn = read_turn(request)
    plan = _plan(turn)
    made = [(step.name, step.arguments) for step in turn.steps]
    to_make = tuple(call for call in plan.calls if (call.name, call.arguments) not in made)
    if to_make and len(made) < _MAX_STEPS:
        return Reply(calls=to_make if request.parallel_tool_calls else to_make[:1])
    answer = tell_results(turn) if turn.steps else plan.text or _answer(turn)
    if request.response_format.type in ("json_object", "json_schema"):
        return Reply(json_answer(turn, answer))
    return Reply(give_form(answer, turn))


def _plan(turn: Turn) -> Plan:
    """The calls that the tool choice and the user's words ask for, made already or not."""
    tools = turn.request.tools
    choice = turn.request.tool_choice
    functions = [
        tool
        for tool in tools
        if isinstance(tool, FunctionTool) and not is_hosted(tool, CODE) and not is_hosted(tool, SEARCH)
    ]
    has_code = any(is_hosted(tool, CODE) for tool in tools)
    has_search = any(is_hosted(tool, SEARCH) for tool in tools)
    wanted = choice.name if choice.mode == "function" else choice.mode
    if wanted == CODE and has_code:
        return Plan((force_code(turn),))
    if wanted == SEARCH and has_search:
        return Plan((force_search(turn),))
    match choice.mode:
        case "function":
            named = [tool for tool in functions if tool.name == choice.name]
            return Plan(plan_functions(turn, named).calls or force_function(turn, named))
        case "auto":
            return _wish(turn, functions, has_code=has_code, has_search=has_search)
        case "required":
            wish = _wish(turn, functions, has_code=has_code, has_search=has_search)
            return wish if wish.calls else _any_call(turn, functions, has_code=has_code, has_search=has_search)
    return Plan()


def _wish(turn: Turn, functions: Sequence[FunctionTool], *, has_code: bool, has_search: bool) -> Plan:
    """What the words ask for when nothing is forced."""
    if not turn.request.tools or _REFUSES_TOOLS.search(turn.text):
        return Plan()
    talk = _plain_talk(turn, functions)
    if talk:
        return Plan(text=talk)
    code = plan_code(turn) if has_code else None
    if code is not None and turn.code_block is not None:
        return Plan((code,))
    plan = plan_functions(turn, functions)
    if plan.calls:
        return plan
    if code is not None:
        return Plan((code,))
    if has_search and not (turn.images or turn.asks_arithmetic or is_unknown_fact(turn, is_personal=True)):
        search = plan_search(turn)
        return plan if search is None else Plan((search,))
    files = plan_file_list(turn) if has_code else None
    if files is not None:
        return Plan((files,))
    is_open = not plan.text and not turn.images and is_question(turn) and not is_unknown_fact(turn, is_personal=True)
    return plan_search_function(turn, functions) if is_open else plan


def _plain_talk(turn: Turn, functions: Sequence[FunctionTool]) -> str | None:
    """What needs no tool: orders, small talk and memories. Unless a tool bears the order's name."""
    named = frozenset(stem_ for tool in functions for stem_ in name_stems(tool.name))
    if is_order_to_remember(turn):
        return acknowledge(turn) if named.isdisjoint(_MEMORY_STEMS) else None
    talk = small_talk(turn) or recall(turn)
    return talk or (follow_order(turn) if named.isdisjoint(order_verbs(turn)) else None)


def _any_call(turn: Turn, functions: Sequence[FunctionTool], *, has_code: bool, has_search: bool) -> Plan:
    """A call must be made, and the words ask for none."""
    calls: tuple[PlannedCall, ...] = force_function(turn, functions)
    if not calls and has_search:
        calls = (force_search(turn),)
    if not calls and has_code:
        calls = (force_code(turn),)
    return Plan(calls)


def _answer(turn: Turn) -> str:
    """Text without tools: the first rule that has something to say."""
    for rule in (small_talk, recall, follow_order, acknowledge, work_out):
        said = rule(turn)
        if said:
            return said
    if turn.images:
        return describe_images(turn)
    return forgotten() if is_unknown_fact(turn) else last_resort(turn)
