"""Arithmetic in a sentence: "what is 15% of 80?" becomes the expression `15 / 100 * 80`.

Expressions of plain numbers can also be worked out here, within limits.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import statistics
from collections.abc import Callable

import msgspec

_LONGEST = 200
_BIGGEST_BITS = 512
_DATE_OR_TIME = re.compile(r"\b\d{4}-\d\d-\d\d\S*|\b\d{1,2}:\d\d\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b[^\W\d_]+-\d[\w-]*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TOKEN = re.compile(r"\d{1,30}(?:\.\d{1,30})?|\.\d{1,30}|\*\*|[^\W\d_]+|\S")
_LEAD = re.compile(
    r"(?:^|[.!?:;,]|\b(?:what|whats|what's|what is|how much is|calculate|compute|evaluate|solve|work out|add up|is|"
    r"equals|result of|value of|answer to|run|do|of|expression|and|then))\s*(?:the\s+)?(?:result of\s+)?$",
    re.IGNORECASE,
)
# "3-5" and "1/2" are more often ranges and fractions; they count when they end the sentence.
_RANGE = re.compile(r"\s*\d+[-−/]\d+(?!\s*(?:[?.!=]|$))")
_WORD_OPERATORS = {
    "plus": "+", "minus": "-", "times": "*", "x": "*", "multiplied": "*", "divided": "/", "over": "/", "mod": "%",
    "modulo": "%", "squared": "**2", "cubed": "**3",
}  # fmt: skip
_SIGNS = {"×": "*", "÷": "/", "−": "-", "^": "**"}
_OPERATORS = frozenset({"+", "-", "*", "/", "**", "%", "//", "**2", "**3"})
_Number = int | float
_BINARY: dict[type[ast.operator], Callable[[_Number, _Number], _Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


_NUMBER = r"-?\d{1,30}(?:\.\d{1,30})?"
_STATISTIC = re.compile(
    r"\b(mean|average|median|sum|total|min|minimum|smallest|max|maximum|largest|biggest)\s+(?:value\s+)?(?:of|for|in|:)\s+"
    rf"(?:the\s+numbers?\s+)?[(\[]?({_NUMBER}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+){_NUMBER}){{1,50}})",
    re.IGNORECASE,
)
_FUNCTION_NAMES = {
    "average": "mean", "total": "sum", "minimum": "min", "smallest": "min", "maximum": "max", "largest": "max",
    "biggest": "max",
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[list[int | float]], int | float]] = {
    "mean": lambda values: statistics.fmean(values),
    "median": lambda values: statistics.median(values),
    "sum": lambda values: sum(values),
    "min": lambda values: min(values),
    "max": lambda values: max(values),
    "sqrt": lambda values: math.sqrt(*values),
}


class Expression(msgspec.Struct, frozen=True):
    """code: in Python's notation. is_asked: the sentence asks for its value; a range or a score is only mentioned."""

    code: str
    is_asked: bool


def find_expression(text: str) -> Expression | None:
    """The longest arithmetic expression in the text, None when there is none with an operator and two numbers."""
    plain = _THOUSANDS.sub("", _DATE_OR_TIME.sub(" _ ", text))
    best: tuple[int, str] | None = None
    run: list[str] = []
    start = 0
    tokens = list(_TOKEN.finditer(plain))
    position = 0
    while position <= len(tokens):
        piece, used = _read_token(tokens, position) if position < len(tokens) else ("", 1)
        if piece:
            start = start if run else tokens[position].start()
            run.append(piece)
        else:
            code = _tidy(run)
            if code and (best is None or len(code) > len(best[1])):
                best = (start, code)
            run = []
        position += used
    if best is None:
        return _find_statistic(plain)
    is_asked = bool(_LEAD.search(plain[max(0, best[0] - 40) : best[0]])) and not _RANGE.match(plain, best[0])
    return Expression(best[1], is_asked)


def evaluate(code: str) -> int | float | None:
    """The value of an expression of numbers, operators, sqrt() and the like; None when it has none or would be huge."""
    if len(code) > _LONGEST:
        return None
    try:
        value = _value(ast.parse(code, mode="eval").body)
    except (ArithmeticError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def show_number(value: int | float) -> str:
    """As a person writes it: no `.0`, no noise after the twelfth digit."""
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"


def _find_statistic(plain: str) -> Expression | None:
    """The average of 3, 9 and 12."""
    found = _STATISTIC.search(plain)
    if found is None:
        return None
    name = found.group(1).lower()
    numbers = ", ".join(re.findall(_NUMBER, found.group(2)))
    return Expression(f"{_FUNCTION_NAMES.get(name, name)}({numbers})", is_asked=True)


def _read_token(tokens: list[re.Match[str]], position: int) -> tuple[str, int]:
    """The token as a piece of an expression ("" when it is none) and how many tokens it takes with it."""
    word = tokens[position].group().casefold()
    following = [token.group().casefold() for token in tokens[position + 1 : position + 4]]
    if word[0].isdecimal() or (word[0] == "." and len(word) > 1):
        return word, 1
    if word in ("percent", "%") and following[:1] == ["of"]:
        return "/100*", 2
    if word == "square" and following[:2] == ["root", "of"]:
        return "sqrt", 3
    if word == "to" and following[:3] == ["the", "power", "of"]:
        return "**", 4
    if word == "x" and not (following and (following[0][0].isdecimal() or following[0] in "(-")):
        return "", 1  # the unknown of an equation
    if word in ("multiplied", "divided") and following[:1] == ["by"]:
        return _WORD_OPERATORS[word], 2
    if word == "sqrt" or word in ("(", ")"):
        return word, 1
    return _SIGNS.get(word, word if word in _OPERATORS else _WORD_OPERATORS.get(word, "")), 1


def _tidy(run: list[str]) -> str:
    """The pieces as one expression, without a dangling operator; "" when they are none."""
    pieces: list[str] = []
    for piece in run:
        is_root = bool(pieces) and pieces[-1] == "sqrt" and piece != "("
        pieces.append(f"({piece})" if is_root else piece)
    while pieces and pieces[-1] in _OPERATORS - {"**2", "**3"}:
        pieces.pop()
    while pieces and pieces[0] in _OPERATORS - {"-", "+"}:
        pieces.pop(0)
    while pieces and pieces[-1] == "(":
        pieces.pop()
    while pieces and pieces.count(")") > pieces.count("("):
        del pieces[len(pieces) - 1 - pieces[::-1].index(")")]
    code = "".join(pieces).replace("/100*", " / 100 * ")
    n_numbers = sum(piece[0].isdecimal() or piece[0] == "." for piece in pieces)
    if n_numbers + ("**2" in pieces or "**3" in pieces) + 2 * ("sqrt" in pieces) < 2 or len(code) > _LONGEST:
        return ""
    try:
        tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return ast.unparse(tree) if isinstance(tree, (ast.BinOp, ast.Call, ast.UnaryOp)) else ""


def _value(node: ast.expr) -> int | float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return -_value(node.operand) if isinstance(node.op, ast.USub) else _value(node.operand)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and node.args:
        return _FUNCTIONS[node.func.id]([_value(argument) for argument in node.args])
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) * max(1, math.log2(abs(left) + 1)) > _BIGGEST_BITS:
            raise OverflowError
        result = _BINARY[type(node.op)](left, right)
        if isinstance(result, complex):
            raise ArithmeticError
        return result
    raise ValueError(type(node).__name__)
