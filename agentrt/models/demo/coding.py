"""Python that answers a request: a fenced block as it is, arithmetic, statistics, plots, tables, a few classics.

Small programs from templates. What they print is meant to be read by a person as it stands.
"""

from __future__ import annotations

import json
import re

from agentrt.models.demo.arithmetic import show_number
from agentrt.models.demo.mentions import Mention, find_mentions
from agentrt.models.demo.turn import READ_LIMIT, Turn

_PYTHON = frozenset({"python", "py", "python3"})
_RUN = re.compile(r"\b(?:run|execute|try|evaluate)\b", re.IGNORECASE)
_PLOT = re.compile(r"\b(?:plot|chart|graph|histogram|pie|scatter|diagram|visuali[sz]e|draw)\b", re.IGNORECASE)
_PLOT_KINDS = (
    ("pie", "plt.pie(values, labels=labels)"),
    ("scatter", "plt.scatter(range(len(values)), values)"),
    ("hist", "plt.hist(values)"),
    ("line", "plt.plot(labels, values, marker='o')"),
    ("", "plt.bar(labels, values)"),
)
_FUNCTION_PLOT = re.compile(
    r"\b(?:plot|graph|draw|chart)\s+(?:of\s+)?(?:the\s+)?(?:function\s+)?(?:y\s*=\s*)?(sin|cos|tan|exp|sqrt|log)\b",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"([^\W\d_]\w{0,30})\s{0,3}[:=]?\s{0,3}(-?\d{1,15}(?:\.\d{1,10})?)\b")
_STATISTICS = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), sentence)
    for words, sentence in (
        ("mean|average", "The mean is {statistics.mean(values)}."),
        ("median", "The median is {statistics.median(values)}."),
        ("mode", "The mode is {statistics.mode(values)}."),
        ("sum|total|add up", "The sum is {sum(values)}."),
        ("min|minimum|smallest|lowest", "The minimum is {min(values)}."),
        ("max|maximum|largest|biggest|highest", "The maximum is {max(values)}."),
        ("std|stdev|standard deviation", "The standard deviation is {statistics.stdev(values)}."),
        ("variance", "The variance is {statistics.variance(values)}."),
        ("sort|sorted", "Sorted: {sorted(values)}"),
    )
)
_CLASSICS = (
    (
        re.compile(
            r"\bfirst (\d{1,3}) primes?|\b(\d{1,3}) primes?\b|\bprimes? (?:up to|below|under) (\d{1,4})", re.IGNORECASE
        ),
        (
            "primes = []\nnumber = 2\nwhile len(primes) < {0}:\n    if all(number % prime for prime in primes):\n"
            "        primes.append(number)\n    number += 1\nprint(*primes, sep=', ')"
        ),
    ),
    (
        re.compile(r"\bfibonacci\D{0,30}(\d{1,3})\b|\b(\d{1,3})\D{0,20}fibonacci", re.IGNORECASE),
        (
            "a, b = 0, 1\nnumbers = []\nfor _ in range({0}):\n    numbers.append(a)\n    a, b = b, a + b\n"
            "print(*numbers, sep=', ')"
        ),
    ),
    (
        re.compile(r"\bfactorial of (\d{1,4})\b|\b(\d{1,4}) factorial\b", re.IGNORECASE),
        "import math\n\nprint(math.factorial({0}))",
    ),
)
_TABLE_FILE = re.compile(r"\.(csv|tsv|xlsx?|json|parquet)$", re.IGNORECASE)
_TABLE_WORDS = re.compile(
    r"\b(?:csv|spreadsheet|data ?set|data ?frame|(?:my|the|this|attached|uploaded) (?:data|table))\b",
    re.IGNORECASE,
)
ABOUT_FILES = re.compile(
    r"\b(?:(?:my|the|this|these|attached|uploaded|which|what|list|any) files?|attachments?)\b", re.IGNORECASE
)
LIST_FILES = """from pathlib import Path

for path in sorted(Path("/mnt/data").iterdir()):
    print(path.name, path.stat().st_size, "bytes")"""
# CSV is read with what every Python has: sandboxes without pandas are common.
_FIRST_TABLE = """import csv
from pathlib import Path

paths = sorted([path for path in Path("/mnt/data").iterdir() if path.name.endswith(".csv")])
if not paths:
    raise FileNotFoundError("There is no CSV file in /mnt/data.")
print(paths[0].name)
table = list(csv.DictReader(paths[0].read_text().splitlines()))"""
_ROWS = re.compile(r"\bhow many (?:rows|lines|records|entries)\b|\bnumber of (?:rows|records)\b", re.IGNORECASE)
_COLUMNS = re.compile(r"\b(?:columns|column names|headers?|fields)\b", re.IGNORECASE)
_OF_COLUMN = re.compile(
    r"\b(mean|average|median|sum|total|min|minimum|max|maximum)\s+(?:of\s+)?(?:the\s+)?(?:column\s+)?"
    r"[\"'`]?([^\W\d]\w{0,40})",
    re.IGNORECASE,
)
_COLUMN_METHODS = {"average": "mean", "total": "sum", "minimum": "min", "maximum": "max"}
_MIDDLE = "sorted(values)[(len(values) - 1) // 2] + sorted(values)[len(values) // 2]"
_COLUMN_FORMULAS = {
    "mean": "sum(values) / len(values)",
    "median": f"({_MIDDLE}) / 2",
    "sum": "sum(values)",
    "min": "min(values)",
    "max": "max(values)",
}
_SAVE = re.compile(r"\b(?:save|write|export|store|download|create)\b", re.IGNORECASE)
_PANDAS_READERS = {
    "json": "read_json({0})",
    "parquet": "read_parquet({0})",
}
_DATA = "/mnt/data/"
_MAX_CODE = 20_000
_PATH = r"[\"'](/mnt/data/[^\"'\s]{1,200})[\"']"
_WRITES = re.compile(
    rf"(?:\bto_[a-z]{{2,12}}|savefig|\bsave)\(\s{{0,9}}{_PATH}|\bopen\(\s{{0,9}}{_PATH}\s{{0,9}},\s{{0,9}}[\"'][wax]"
)


def write_code(turn: Turn) -> str:
    """The program that the last words ask for, "" when they ask for none."""
    block = turn.code_block
    if block is not None and (block[0] in _PYTHON or (not block[0] and _RUN.search(turn.text))):
        return block[1]
    if turn.is_cut:
        return ""
    text = turn.text
    # All of them, however many: a mean of the first hundred would be a lie.
    numbers = [mention for mention in find_mentions(text, at_most=READ_LIMIT) if mention.kind == "number"]
    files = [mention for mention in turn.sentence.mentions if mention.kind == "file"]
    saved = _saved_numbers(text, numbers, files)
    if saved:
        return saved
    table = _table(text, files)
    if table:
        return table
    program = _statistics_and_plots(text, numbers)
    if program:
        return program
    for shape, template in _CLASSICS:
        found = shape.search(text)
        if found:
            return template.format(next(group for group in found.groups() if group))
    if turn.expression is not None and turn.asks_arithmetic:
        lead = "from math import sqrt\n\n" if "sqrt" in turn.expression.code else ""
        return f"{lead}print({turn.expression.code})"
    return ""


def written_paths(code: str) -> list[str]:
    """Files below /mnt/data that a program writes, told by the calls in it."""
    return list(dict.fromkeys(match.group(1) or match.group(2) for match in _WRITES.finditer(code[:_MAX_CODE])))


def _statistics_and_plots(text: str, numbers: list[Mention]) -> str:
    wanted = [sentence for shape, sentence in _STATISTICS if shape.search(text)] if len(numbers) > 1 else []
    is_plot = bool(_PLOT.search(text))
    function = _FUNCTION_PLOT.search(text)
    if is_plot and function and len(numbers) < 3:
        return _function_plot(function.group(1).lower())
    if not wanted and not (is_plot and len(numbers) > 1):
        return ""
    values = ", ".join(show_number(number.value or 0) for number in numbers)
    imports = (["import statistics"] if any("statistics." in sentence for sentence in wanted) else []) + (
        ["import matplotlib.pyplot as plt"] if is_plot else []
    )
    lines = [*imports, ""] if imports else []
    lines.append(f"values = [{values}]")
    lines += [f'print(f"{sentence}")' for sentence in wanted]
    if is_plot:
        lines += _plot(text, numbers)
    return "\n".join(lines)


def _plot(text: str, numbers: list[Mention]) -> list[str]:
    pairs = _LABELLED.findall(text)
    named = [label for label, _ in pairs]
    labels = named if len(pairs) == len(numbers) and "of" not in named else [str(i + 1) for i in range(len(numbers))]
    lowered = text.lower()
    command = next(command for word, command in _PLOT_KINDS if word in lowered)
    title = next((word for word in ("pie", "scatter", "hist", "line") if word in lowered), "bar")
    return [f"labels = {json.dumps(labels, ensure_ascii=False)}", command, f"plt.title('{title} chart')", "plt.show()"]


def _function_plot(name: str) -> str:
    low = "0.01" if name in ("log", "sqrt") else "-10"
    return (
        "import matplotlib.pyplot as plt\nimport numpy as np\n\n"
        f"x = np.linspace({low}, 10, 400)\nplt.plot(x, np.{name}(x))\nplt.title('{name}(x)')\nplt.show()"
    )


def _table(text: str, files: list[Mention]) -> str:
    tables = [file.text for file in files if _TABLE_FILE.search(file.text)]
    if not tables and not _TABLE_WORDS.search(text):
        return ""
    if not tables:
        return "\n".join([_FIRST_TABLE, *_rows_answers(text)])
    path = tables[0] if tables[0].startswith("/") else _DATA + tables[0].rsplit("/", 1)[-1]
    suffix = path.rsplit(".", 1)[1].lower()
    if suffix not in ("csv", "tsv"):
        read = "pd." + _PANDAS_READERS.get(suffix, "read_excel({0})").format(json.dumps(path))
        return "\n".join(["import pandas as pd", "", f"table = {read}", *_frame_answers(text)])
    delimiter = ', delimiter="\\t"' if suffix == "tsv" else ""
    lines = [
        "import csv",
        "from pathlib import Path",
        "",
        f"lines = Path({json.dumps(path)}).read_text().splitlines()",
        f"table = list(csv.DictReader(lines{delimiter}))",
    ]
    return "\n".join([*lines, *_rows_answers(text)])


def _wanted_column(text: str) -> tuple[str, str] | None:
    """(what is to be told of it, the column's name as JSON)."""
    column = _OF_COLUMN.search(text)
    if column is None or column.group(2).lower() in ("in", "of", "the", "from", "each", "for"):
        return None
    method = _COLUMN_METHODS.get(column.group(1).lower(), column.group(1).lower())
    return method, json.dumps(column.group(2), ensure_ascii=False)


def _rows_answers(text: str) -> list[str]:
    """Of a list of dictionaries."""
    if wanted := _wanted_column(text):
        method, name = wanted
        return [
            f"wanted = {name}",
            "columns = [name for name in table[0] if name.lower() == wanted.lower()]",
            "if not columns:",
            "    raise KeyError(f'There is no column {wanted}.')",
            "values = [float(row[columns[0]]) for row in table if row[columns[0]]]",
            f"print(f'{method} of {{columns[0]}}: {{{_COLUMN_FORMULAS[method]}:g}}')",
        ]
    answers = []
    if _ROWS.search(text):
        answers.append("print('rows:', len(table))")
    if _COLUMNS.search(text):
        answers.append("print('columns:', ', '.join(table[0]))")
    show = ["print(len(table), 'rows of', ', '.join(table[0]))", "for row in table[:5]:"]
    return answers or [*show, "    print(*row.values(), sep=', ')"]


def _frame_answers(text: str) -> list[str]:
    """Of a pandas DataFrame."""
    if wanted := _wanted_column(text):
        method, name = wanted
        return [
            f"wanted = {name}",
            "column = next((name for name in table.columns if str(name).lower() == wanted.lower()), None)",
            "if column is None:",
            "    raise KeyError(f'There is no column {wanted}.')",
            f"print(f'{method} of {{column}}:', table[column].{method}())",
        ]
    answers = []
    if _ROWS.search(text):
        answers.append("print('rows:', len(table))")
    if _COLUMNS.search(text):
        answers.append("print('columns:', ', '.join(map(str, table.columns)))")
    return answers or ["print(table.head().to_string())", "print(table.describe(include='all').to_string())"]


def _saved_numbers(text: str, numbers: list[Mention], files: list[Mention]) -> str:
    """Save 3, 9, 12 as out.csv."""
    if not files or not numbers or not _SAVE.search(text):
        return ""
    path = _DATA + files[-1].text.rsplit("/", 1)[-1]
    values = ", ".join(show_number(number.value or 0) for number in numbers)
    return (
        f"values = [{values}]\nwith open({json.dumps(path)}, 'w') as file:\n"
        "    file.write('value\\n' + '\\n'.join(map(str, values)))\nprint(len(values), 'values saved.')"
    )
