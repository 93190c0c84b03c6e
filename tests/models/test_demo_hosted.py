"""The hosted tools as the demo model uses them: its code really runs, the markers that it copies are exact."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from agentrt.engine.spec import CodeInterpreterTool, FileSearchTool
from tests.models.demo_chat import WEATHER, Chat, function

CODE = CodeInterpreterTool()
SEARCH = FileSearchTool()
HANDBOOK = """[0] handbook.md
【4:0†handbook.md】
# Handbook
Vacation is 25 days a year. Refunds are paid within 14 days of the request. Coffee is free.
【4:1†handbook.md】
Ask for refunds by mail. Shipping takes three days.
【4:2†other file.pdf】
Nothing of interest."""


async def code_for(said: str) -> str:
    chat = Chat(CODE, SEARCH)
    await chat.say(said)
    assert [call.name for call in chat.pending] == ["code_interpreter"]
    return str(json.loads(chat.pending[0].arguments)["code"])


def run(code: str) -> str:
    """What the code prints. It is our own: arithmetic and the standard library."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "<demo>", "exec"), {})
    return printed.getvalue()


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("what is 12 * 7?", "84\n"),
        ("what's 3 plus 4 times 2", "11\n"),
        ("What is 15% of 80?", "12.0\n"),
        ("the square root of 16", "4.0\n"),
        ("2 to the power of 10", "1024\n"),
        ("mean of 3, 9, 12", "The mean is 8.\n"),
        ("What are the sum and the median of 3, 9 and 12?", "The median is 9.\nThe sum is 24.\n"),
        ("sort 3, 1, 2", "Sorted: [1, 2, 3]\n"),
        ("give me the first 5 primes", "2, 3, 5, 7, 11\n"),
        ("the first 7 fibonacci numbers", "0, 1, 1, 2, 3, 5, 8\n"),
        ("factorial of 20", "2432902008176640000\n"),
        ("Run this:\n```python\nfor i in range(2):\n    print(i)\n```", "0\n1\n"),
        ("```py\nprint('as given')\n```", "as given\n"),
        ("please execute\n```\nprint(1)\n```", "1\n"),
    ],
)
async def test_code_that_answers(said: str, printed: str) -> None:
    assert run(await code_for(said)) == printed


@pytest.mark.parametrize(
    ("said", "drawn"),
    [
        ("a bar chart of 3, 9, 12", "plt.bar(labels, values)"),
        ("mean of 3, 9, 12 and a bar chart", "plt.bar(labels, values)"),
        ("line plot of 1, 4, 9", "plt.plot(labels, values, marker='o')"),
        ("pie chart: apples 3, pears 9", 'labels = ["apples", "pears"]\nplt.pie(values, labels=labels)'),
        ("plot sin(x)", "plt.plot(x, np.sin(x))"),
    ],
)
async def test_code_that_draws(said: str, drawn: str) -> None:
    code = await code_for(said)
    compile(code, "<demo>", "exec")
    assert drawn in code
    assert code.endswith("plt.show()")


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("describe sales.csv", "3 rows of Month, Amount\njan, 10\nfeb, 25.5\nmar, \n"),
        ("How many rows are in /mnt/data/sales.csv?", "rows: 3\n"),
        ("which columns does sales.csv have", "columns: Month, Amount\n"),
        ("average of amount in sales.csv", "mean of Amount: 17.75\n"),
        ("What is the total of amount in sales.csv?", "sum of Amount: 35.5\n"),
        ("median of amount in sales.csv", "median of Amount: 17.75\n"),
        ("max amount in my spreadsheet", "sales.csv\nmax of Amount: 25.5\n"),
    ],
)
async def test_code_that_reads_a_table(said: str, printed: str, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("Month,Amount\njan,10\nfeb,25.5\nmar,\n")
    code = await code_for(said)

    assert "/mnt/data" in code
    assert run(code.replace("/mnt/data", str(tmp_path))) == printed


async def test_other_tables_are_read_with_pandas() -> None:
    code = await code_for("average of price in sales.xlsx")
    compile(code, "<demo>", "exec")
    assert 'table = pd.read_excel("/mnt/data/sales.xlsx")' in code
    assert "print(f'mean of {column}:', table[column].mean())" in code


async def test_files_are_listed_when_no_search_could_read_them() -> None:
    chat = Chat(CODE)
    assert "iterdir" in await chat.say("What is in the attached file?")


async def test_a_mean_with_its_chart_is_told_as_printed() -> None:
    chat = Chat(CODE)
    await chat.say("mean of 3, 9, 12 and a bar chart")
    assert await chat.give("The mean is 8.\n") == "The mean is 8."


async def test_a_sum_is_told_with_its_expression() -> None:
    chat = Chat(CODE)
    await chat.say("what is 12*7?")
    assert await chat.give("84\n") == "12 * 7 = 84"


async def test_a_chart_without_words_is_mentioned() -> None:
    chat = Chat(CODE)
    await chat.say("plot sin(x)")
    assert await chat.give("") == "The chart is drawn."


async def test_a_file_that_the_code_wrote_is_linked() -> None:
    chat = Chat(CODE)
    await chat.say("save 3, 9, 12 as out.csv")
    assert await chat.give("3 values saved.\n") == "3 values saved.\n[out.csv](sandbox:/mnt/data/out.csv)"


async def test_what_is_added_to_an_output_for_the_model_is_not_repeated() -> None:
    chat = Chat(CODE)
    await chat.say("save 3, 9, 12 as out.csv")
    output = "3 values saved.\n[This is a new session: variables are gone.]\n[Saved for the user, to be linked to: x]"
    assert await chat.give(output) == "3 values saved.\n[out.csv](sandbox:/mnt/data/out.csv)"


async def test_a_file_that_the_code_only_read_is_not() -> None:
    chat = Chat(CODE)
    await chat.say("```python\nprint(open('/mnt/data/in.csv').read())\n```")
    assert "sandbox:" not in await chat.give("1")


async def test_a_traceback_is_told_by_its_last_line() -> None:
    chat = Chat(CODE)
    await chat.say("```python\n1/0\n```")
    told = await chat.give(
        'Traceback (most recent call last):\n  File "x", line 1\nZeroDivisionError: division by zero'
    )
    assert told == "The code failed: ZeroDivisionError: division by zero."


async def test_arithmetic_without_any_tool_is_worked_out() -> None:
    assert await Chat().say("what is (1 + 2) * 3.5?") == "(1 + 2) * 3.5 = 10.5"


async def test_a_long_list_of_numbers_is_taken_whole() -> None:
    numbers = ", ".join(map(str, range(1, 1_001)))
    assert run(await code_for(f"sum of {numbers}")) == "The sum is 500500.\n"


async def test_a_text_that_is_too_long_to_read_is_not_computed_in_part() -> None:
    numbers = ", ".join(map(str, range(1, 3_001)))
    chat = Chat(CODE)
    assert "I read only the first 8000 characters of it." in await chat.say(f"sum of {numbers}")
    assert not chat.pending


async def test_nobody_can_make_it_compute_for_ever() -> None:
    assert "scripted demo model" in await Chat().say("what is 9**9**9**9?")
    assert "scripted demo model" in await Chat().say("what is 1 / 0?")


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ("what does the handbook say about refunds?", "refunds"),
        ("Is there anything about parental leave?", "parental leave"),
        ("search the documents for vacation policy", "vacation policy"),
        ("Who wrote the report?", "Who wrote the report"),
        ("please explain the warranty", "please explain the warranty"),
    ],
)
async def test_questions_go_to_the_files(said: str, query: str) -> None:
    assert await Chat(SEARCH).say(said) == f'file_search(queries=["{query}"])'


@pytest.mark.parametrize(
    "said", ["hello", "My name is Ada", "how are you?", "what is my name?", "thanks", "count to 3"]
)
async def test_talk_does_not(said: str) -> None:
    chat = Chat(SEARCH)
    await chat.say(said)
    assert not chat.pending


async def test_a_function_that_fits_goes_before_the_hosted_tools() -> None:
    chat = Chat(CODE, SEARCH, WEATHER)
    assert await chat.say("What is the weather in Oslo?") == 'get_weather(city="Oslo")'


async def test_hosted_tools_may_be_offered_as_functions() -> None:
    code = function("code_interpreter", "Run Python", "code", code="the program")
    search = function("file_search", "Search", "queries", queries={"type": "array", "items": {"type": "string"}})
    chat = Chat(code, search)
    assert await chat.say("what is 6 * 7?") == 'code_interpreter(code="print(6 * 7)")'
    assert await chat.say("what does the handbook say about refunds?") == 'file_search(queries=["refunds"])'


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            HANDBOOK,
            (
                "Refunds are paid within 14 days of the request【4:0†handbook.md】. "
                "Ask for refunds by mail【4:1†handbook.md】."
            ),
        ),
        (
            "Coffee is free.【4:0†source】 Refunds take 14 days.【4:1†source】",
            "Refunds take 14 days【4:1†source】.",
        ),
        (
            (
                '{"results": [{"citation": "【4:0†source】", "text": "Refunds take 14 days."}, '
                '{"citation": "【4:1†source】", "text": "Coffee is free."}]}'
            ),
            "Refunds take 14 days【4:0†source】.",
        ),
        (
            "【4:0†source】\nCoffee is free.",
            "Nothing matches your words; the closest passage says: Coffee is free【4:0†source】.",
        ),
        ("[]", "I searched for “what does the handbook say about refunds?” and found nothing about it."),
        ("No results.", "I searched for “what does the handbook say about refunds?” and found nothing about it."),
        ("Error: the store is gone", "The search failed: the store is gone."),
    ],
)
async def test_markers_are_copied_exactly(found: str, told: str) -> None:
    chat = Chat(SEARCH)
    await chat.say("what does the handbook say about refunds?")
    assert await chat.give(found) == told


async def test_markers_survive_upper_case() -> None:
    chat = Chat(SEARCH, instructions="Always answer in upper case.")
    await chat.say("what about refunds?")
    assert await chat.give("【4:0†source】 Refunds take 14 days.") == "REFUNDS TAKE 14 DAYS【4:0†source】."


@pytest.mark.parametrize("line", ["Oolong,4.20", "Oolong: 4.20 EUR", "| Oolong | 4.20 EUR |"])
async def test_a_line_of_a_price_list_goes_before_prose_about_other_prices(line: str) -> None:
    prices = f"【1:0†source】 prices.csv\ntea, price\n{line}\nSencha, 3.90"
    others = "【1:1†source】 shipping.md\nShipping costs 5 EUR.\n\n【1:2†source】 about.md\nOur costs are low."
    chat = Chat(SEARCH)
    await chat.say("What does Oolong cost?")
    assert await chat.give(f"{prices}\n\n{others}") == f"{line.strip(' |')}【1:0†source】."
