from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.engine.message import ToolCall, ToolResult
from agentrt.toolkit.context import Context
from agentrt.toolkit.discover import load_tool
from agentrt.toolkit.invoke import invoke
from tests.tools.conftest import ROOT, Ask

CALCULATE = "calculator.py:calculate"


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("17 * 23", "391"),
        ("2 ** 64", "18446744073709551616"),
        ("2^3 + 1", "9"),
        ("0.1 + 0.2", "0.3"),
        ("10 / 4", "2.5"),
        ("7 // 2 + 7 % 3", "4"),
        ("-3 ** 2", "-9"),
        ("(1 + 2) × 3 ÷ 2 − 1", "3.5"),
        ("15% of 80", "12"),
        ("200 * 10%", "20"),
        ("50% ** 2", "0.25"),
        ("12.5%", "0.125"),
        ("sqrt(2)", "1.4142135623731"),
        ("mean(3, 9, 12)", "8"),
        ("median([1, 2, 10])", "2"),
        ("sum(1, 2, 3.5)", "6.5"),
        ("round(2.567, 2)", "2.57"),
        ("factorial(20)", "2432902008176640000"),
        ("comb(5, 2) + gcd(12, 18)", "16"),
        ("ln(e) + log(100) + log(8, 2)", "6"),
        ("2 * pi", "6.28318530717959"),
        ("1e300 * 10", "1e+301"),
        ("1 ** 99999999999999999999", "1"),
    ],
)
async def test_arithmetic_is_right(ask: Ask, expression: str, result: str) -> None:
    answer = await ask(CALCULATE, expression=expression)
    assert answer.error is None
    assert answer.output == f"{expression} = {result}"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("1 / 0", "division by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("2 ** 10001", "too large"),
        ("10.0 ** 400", "too large"),
        ("factorial(100000)", "up to 1000"),
        ("9999 ** 900 * 9999 ** 900", "too large"),
        ("round(5, -1000000000)", "100 places"),
        ("(-8) ** 0.5", "real number"),
        ("sqrt(-1)", "ValueError"),
        ("__import__('os').system('true')", "not an arithmetic expression"),
        ("().__class__", "not arithmetic"),
        ("[x for x in (1, 2)]", "not arithmetic"),
        ("lambda: 1", "not an arithmetic expression"),
        ("open(1)", "'open' is unknown"),
        ("max(*[1, 2])", "not arithmetic"),
        ("True + 1", "not arithmetic"),
        ("1 +", "not an arithmetic expression"),
        ("", "not an arithmetic expression"),
        ("1,000 + 5", "thousands separators"),
        ("(" * 900, "not an arithmetic expression"),
        ("-" * 900 + "1", "too many parts"),
        ("1" * 1001, "1000 characters"),
        ("sqrt(1, 2)", "argument"),
        ("mean()", "mean requires"),
    ],
)
async def test_what_cannot_be_calculated_is_refused_at_once(ask: Ask, expression: str, text: str) -> None:
    answer = await ask(CALCULATE, expression=expression)
    assert answer.error == "exception"
    assert text in answer.output


TOKENS = ["1", "9", "0.5", "1e3", "+", "-", "*", "/", "//", "%", "**", "^", "(", ")", ",", "[", "]", " ", "pi", "of"]
NAMES = ["sqrt(", "factorial(", "mean(", "round(", "stdev(", "hypot(", "lcm(", "perm(", "log(", "x", "\0", "é", "'"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(TOKENS + NAMES), max_size=30).map("".join) | st.text(max_size=40))
def test_no_expression_hangs_or_crashes(expression: str) -> None:
    calculate = load_tool(f"tools/{CALCULATE}", base=ROOT)
    call = ToolCall("call_1", "calculate", json.dumps({"expression": expression}))
    answer: ToolResult = asyncio.run(invoke(calculate, call, Context(None)))
    assert answer.error is None or "ValueError" in answer.output
