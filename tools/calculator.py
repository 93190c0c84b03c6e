"""Arithmetic, exact where it can be, that can neither hang nor run code: no eval, every size has a limit."""

from __future__ import annotations

import ast
import math
import operator
import re
import statistics
from collections.abc import Callable

from agentrt import tool

Number = int | float

_MAX_CHARS = 1000
_MAX_NODES = 500
_MAX_BITS = 10_000  # about 3000 digits
_MAX_N = 1000  # of factorials and the like
_MAX_PLACES = 100

_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**"})
_ALLOWED = re.compile(r"[\w\s.,()\[\]+*/%-]*")
_PERCENT = re.compile(r"(?P<number>[\d.]+)\s*%(?:\s*(?P<of>of)\b|(?=\s*(?:[-+*/),]|$)))")


@tool(timeout_s=5)
def calculate(expression: str) -> str:
    """Calculate an arithmetic expression: the exact result of any sum, product, power, root, percentage or average.

    expression: what to calculate, such as `12.5 * (3 + 4)`, `2 ** 64`, `sqrt(2)`, `15% of 80` or `mean(3, 9, 12)`.
        Operators are + - * / // % and ** (or ^). A % at the end of a number means percent, between two it means the
        remainder. Functions: abs, round, floor, ceil, sqrt, cbrt, exp, ln, log (base 10, or log(x, base)), log2, sin,
        cos, tan, asin, acos, atan (radians), degrees, radians, hypot, factorial, comb, perm, gcd, lcm, min, max, sum,
        mean, median, stdev. Constants: pi, e, tau. Write numbers without thousands separators.
    """
    return f"{expression.strip()} = {_show(_evaluate(_parse(expression)))}"


def _parse(expression: str) -> ast.expr:
    if len(expression) > _MAX_CHARS:
        raise ValueError(f"the expression is longer than {_MAX_CHARS} characters")
    text = _PERCENT.sub(
        lambda match: f"({match['number']}/100){'*' if match['of'] else ''}", expression.translate(_SIGNS)
    )
    try:
        if not _ALLOWED.fullmatch(text):
            raise SyntaxError
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{expression!r} is not an arithmetic expression") from None
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise ValueError("the expression has too many parts")
    return tree.body


def _evaluate(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _checked(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _apply(_OPERATORS[type(op)], [_evaluate(left), _evaluate(right)])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _apply(_FUNCTIONS[name], _arguments(args))
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
            raise ValueError(f"{name!r} is unknown. Functions: {', '.join(_FUNCTIONS)}. Constants: pi, e, tau")
        case ast.Tuple():
            raise ValueError("a comma stands between arguments only: write numbers without thousands separators")
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is not arithmetic")


def _arguments(nodes: list[ast.expr]) -> list[Number]:
    if len(nodes) == 1 and isinstance(nodes[0], (ast.List, ast.Tuple)):
        nodes = nodes[0].elts
    return [_evaluate(node) for node in nodes]


def _apply(function: Callable[..., Number], values: list[Number]) -> Number:
    try:
        return _checked(function(*values))
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    except OverflowError:
        raise ValueError("the result is too large") from None
    except (TypeError, statistics.StatisticsError) as error:
        raise ValueError(f"{error}") from None


def _checked(value: Number) -> Number:
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("the result is not a finite real number")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueError("the result is too large")
    return value


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1:
        if exponent * base.bit_length() > _MAX_BITS:
            raise OverflowError
        if exponent < -_MAX_BITS:
            return 0.0
    result: Number = base**exponent
    return result


def _small(function: Callable[..., int]) -> Callable[..., int]:
    """Functions of whole numbers whose results grow fast."""

    def limited(*values: Number) -> int:
        if any(value != int(value) or abs(value) > _MAX_N for value in values):
            raise ValueError(f"{function.__name__} takes whole numbers up to {_MAX_N}")
        return function(*map(int, values))

    return limited


def _whole(function: Callable[..., int]) -> Callable[..., int]:
    def whole(*values: Number) -> int:
        if any(value != int(value) for value in values):
            raise ValueError(f"{function.__name__} takes whole numbers")
        return function(*map(int, values))

    return whole


def _round(value: Number, places: Number = 0) -> Number:
    if abs(places) > _MAX_PLACES:
        raise ValueError(f"round takes up to {_MAX_PLACES} places")
    return round(value, int(places)) if places else round(value)


def _log(value: Number, base: Number = 10) -> float:
    return math.log10(value) if base == 10 else math.log(value, base)


def _sum(*values: Number) -> Number:
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


def _of_all(function: Callable[[tuple[Number, ...]], Number]) -> Callable[..., Number]:
    return lambda *values: function(values)


_OPERATORS: dict[type[ast.operator], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "round": _round,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "exp": math.exp,
    "ln": lambda value: math.log(value),
    "log": _log,
    "log10": math.log10,
    "log2": math.log2,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "degrees": math.degrees,
    "radians": math.radians,
    "hypot": math.hypot,
    "factorial": _small(math.factorial),
    "comb": _small(math.comb),
    "perm": _small(math.perm),
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
    "min": min,
    "max": max,
    "sum": _sum,
    "mean": _of_all(statistics.fmean),
    "average": _of_all(statistics.fmean),
    "median": _of_all(statistics.median),
    "stdev": _of_all(statistics.stdev),
}


def _show(value: Number) -> str:
    # 15 digits are what a float really holds: 0.1 + 0.2 reads 0.3.
    return str(value) if isinstance(value, int) else f"{value:.15g}"
