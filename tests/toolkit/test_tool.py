from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import agentrt
from agentrt import Context, IdempotencyKey, Option, Tool, tool
from agentrt.engine.spec import FunctionTool
from agentrt.errors import ToolDefinitionError
from agentrt.toolkit.tool import as_tool, set_options


@tool
def weather(city: str, days: int = 1) -> str:
    """Forecast for a city.

    city: name of the city, in any language.
    """
    return f"{city}: sunny for {days} days"


def test_a_function_becomes_a_tool_by_one_word() -> None:
    assert weather.spec() == FunctionTool(
        name="weather",
        description="Forecast for a city.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "name of the city, in any language."},
                "days": {"type": "integer", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    )


def test_a_tool_can_still_be_called_like_the_function() -> None:
    answer: str = weather("Oslo", days=2)
    assert answer == "Oslo: sunny for 2 days"
    weather(7)  # type: ignore[arg-type]  # and type checkers still see its parameters


def test_the_decorator_takes_what_the_function_does_not_say() -> None:
    @tool(name="refund_order", description="Pays back.", timeout_s=None, retry="idempotent")
    async def refund(order: str) -> None: ...

    assert (refund.name, refund.description, refund.timeout_s, refund.retry) == (
        "refund_order",
        "Pays back.",
        None,
        "idempotent",
    )
    assert refund.is_async
    assert not weather.is_async


def test_what_the_runtime_fills_in_is_not_shown_to_the_model() -> None:
    @tool
    def f(
        a: int,
        context: Context[str],
        anyone: Context | None,
        key: IdempotencyKey,
        *,
        folder: Option[Path | None] = None,
    ) -> None:
        """Does it."""

    assert list(f.parameters["properties"]) == ["a"]  # type: ignore[arg-type]
    assert f.parameters["required"] == ["a"]


def test_methods_and_callable_objects_are_functions_too() -> None:
    class Shop:
        def price(self, item: str) -> str:
            """Price of an item."""
            return f"{item}: 3"

        def __call__(self, item: str) -> str:
            """Buys an item."""
            return f"bought {item}"

    assert tool(Shop().price)("tea") == "tea: 3"
    assert tool(Shop()).name == "Shop"
    assert tool(Shop(), name="buy")("tea") == "bought tea"
    with pytest.raises(ToolDefinitionError, match="bound method"):
        tool(Shop.price)


def test_a_wrapped_function_keeps_its_own_hints() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: object, **kwargs: object) -> object:
            return function(*args, **kwargs)

        return wrapper

    @tool
    @logged
    def half(number: float) -> float:
        """Half of a number."""
        return number / 2

    assert half.parameters["required"] == ["number"]


def no_docstring(a: int) -> None: ...


def no_hint(a) -> None:  # type: ignore[no-untyped-def]
    """Does it."""


def any_number(*numbers: int) -> None:
    """Adds."""


def any_option(**options: int) -> None:
    """Sets."""


def not_defined(a: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Does it."""


def no_json_form(a: int, file: Tool) -> None:
    """Reads."""


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        (no_docstring, ["no docstring", "add one line"]),
        (no_hint, ["parameter 'a' has no type hint", "`a: str`"]),
        (any_number, ["*numbers", "take one list"]),
        (any_option, ["**options"]),
        (not_defined, ["'Nowhere'", "not under TYPE_CHECKING"]),
        (no_json_form, ["parameter 'file'"]),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_saying_what_where_and_what_to_do(
    function: Any, texts: list[str]
) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        tool(function)
    message = caught.value.message
    line = function.__code__.co_firstlineno
    for text in [*texts, function.__name__, f"tests/toolkit/test_tool.py:{line}"]:
        assert text in message


def test_a_hint_may_name_a_class_of_the_function_around_it() -> None:
    from pydantic import BaseModel

    class Invoice(BaseModel):
        number: str

    @tool
    def pay(invoice: Invoice) -> None:
        """Pays."""

    assert pay.parameters["properties"] == {"invoice": {"$ref": "#/$defs/Invoice"}}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "get weather"}, "'get weather'"),
        ({"name": "x" * 65}, "64"),
        ({"timeout_s": 0}, "timeout_s = 0"),
        ({"timeout_s": float("nan")}, "timeout_s = nan"),
        ({"retry": "always"}, '"idempotent"'),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ToolDefinitionError, match=text):
        tool(weather.function, **settings)


@pytest.mark.parametrize("value", [int, "weather", None, weather])
def test_what_is_no_function_is_refused(value: Any) -> None:
    with pytest.raises(ToolDefinitionError):
        tool(name="x")(value)


def test_as_tool_takes_both() -> None:
    assert as_tool(weather) is weather
    assert as_tool(weather.function).name == "weather"


@tool
def find(query: str, *, folder: Option[Path], limit: Option[int] = 3) -> str:
    """Finds it."""
    return f"{query} in {folder.as_posix()}, {limit}"


def test_options_are_set_by_the_operator_and_converted_to_their_hints() -> None:
    assert find.missing_options == ("folder",)
    ready = find.with_options(folder="docs", limit="5")
    assert ready.missing_options == ()
    assert ready("tea") == "tea in docs, 5"
    assert ready("tea", folder=Path("other")) == "tea in other, 5"


def test_relative_paths_in_options_start_at_the_folder_of_the_file_that_sets_them(tmp_path: Path) -> None:
    assert set_options(find, {"folder": "docs"}, base=tmp_path).options["folder"] == tmp_path / "docs"
    assert set_options(find, {"folder": "/docs"}, base=tmp_path).options["folder"] == Path("/docs")


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"folders": "docs"}, ["'folders'", "Did you mean 'folder'?", "folder, limit"]),
        ({"query": "x"}, ["no option 'query'"]),
        ({"limit": "many"}, ["option 'limit' = 'many'", "integer"]),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, object], texts: list[str]) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        find.with_options(**options)
    assert all(text in caught.value.message for text in texts)


def test_an_option_may_be_an_object_that_only_code_can_give() -> None:
    class Database: ...

    @tool
    def query(text: str, *, database: Option[Database]) -> str:
        """Asks the database."""
        return f"{type(database).__name__}: {text}"

    assert query.with_options(database=Database())("x") == "Database: x"
    with pytest.raises(ToolDefinitionError, match="instance of"):
        query.with_options(database="x")


def test_the_public_names_are_found_without_importing_them_all() -> None:
    assert sorted(agentrt.__all__) == agentrt.__all__
    assert set(agentrt.__all__) <= set(dir(agentrt))
    assert all(getattr(agentrt, name) is not None for name in agentrt.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = agentrt.nothing
