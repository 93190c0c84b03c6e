"""Tool: a function with the schema, the limits and the promises that a run needs; `@tool` makes one."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args, overload

from agentrt.engine.message import JsonObject
from agentrt.engine.spec import FunctionTool
from agentrt.errors import ToolDefinitionError
from agentrt.suggest import perhaps
from agentrt.toolkit.arguments import ArgumentReader
from agentrt.toolkit.signature import Signature, inspect_function, refusal, where

if TYPE_CHECKING:
    # With defaults (PEP 696), strict code may write a bare `Tool`. typing has them from 3.13 on.
    from typing_extensions import ParamSpec as ParamSpecWithDefault
    from typing_extensions import TypeVar as TypeVarWithDefault

    P = ParamSpecWithDefault("P", default=...)
    R_co = TypeVarWithDefault("R_co", covariant=True, default=Any)
else:
    P = ParamSpec("P")
    R_co = TypeVar("R_co", covariant=True)

_P = ParamSpec("_P")
_R = TypeVar("_R")

Retry: TypeAlias = Literal["never", "idempotent"]

DEFAULT_TIMEOUT_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Tool(Generic[P, R_co]):
    """A function that a model may call. Calling the tool calls the function, with no checks and no limits.

    parameters is the JSON Schema of the arguments object. timeout_s: None = no limit of its own.
    retry: what happens to a call that a crash cut off. `never`: the model is told that its outcome is unknown;
    `idempotent`: it is made again with the same idempotency key.
    signature says how arguments are bound; its default fits a function that takes the schema's properties by name.
    options: values of the function's `Option` parameters. origin: where it is defined, for people.
    Raises ToolDefinitionError for a name, timeout or retry that cannot be.
    """

    name: str
    description: str
    parameters: JsonObject
    function: Callable[P, R_co]
    timeout_s: float | None = DEFAULT_TIMEOUT_S
    retry: Retry = "never"
    signature: Signature = field(default_factory=Signature, repr=False)
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    origin: str = ""
    is_async: bool = field(init=False)
    reader: ArgumentReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise refusal(
                self.function,
                f"its name {self.name!r} is not 1 to 64 letters, digits, _ or -",
                'Give it another: tool(name="…").',
            )
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise refusal(self.function, f"timeout_s = {self.timeout_s} is not above 0", "None means no limit.")
        if self.retry not in get_args(Retry):
            raise refusal(self.function, f"retry = {self.retry!r} is unknown", 'Write "never" or "idempotent".')
        is_async = inspect.iscoroutinefunction(self.function) or inspect.isasyncgenfunction(self.function)
        object.__setattr__(self, "is_async", is_async)
        object.__setattr__(self, "reader", ArgumentReader(self.name, self.parameters, self.signature.converters))
        object.__setattr__(self, "origin", self.origin or where(self.function))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        if not self.options:
            return self.function(*args, **kwargs)
        function: Callable[..., R_co] = self.function
        return function(*args, **{**self.options, **kwargs})

    def spec(self) -> FunctionTool:
        """What the model is shown."""
        return FunctionTool(self.name, self.description, self.parameters)

    def with_options(self, /, **options: object) -> Tool[..., R_co]:
        """The same tool with `Option` parameters set.

        Raises ToolDefinitionError for a name that is no option and a value that does not fit its hint.
        """
        return set_options(self, options)

    @property
    def missing_options(self) -> tuple[str, ...]:
        """Options that must be set before a model may call the tool."""
        return tuple(n for n, option in self.signature.options.items() if option.is_required and n not in self.options)


@overload
def tool(
    function: Callable[_P, _R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = DEFAULT_TIMEOUT_S,
    retry: Retry = "never",
) -> Tool[_P, _R]: ...


@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = DEFAULT_TIMEOUT_S,
    retry: Retry = "never",
) -> Callable[[Callable[_P, _R]], Tool[_P, _R]]: ...


def tool(
    function: Callable[_P, _R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = DEFAULT_TIMEOUT_S,
    retry: Retry = "never",
) -> Tool[_P, _R] | Callable[[Callable[_P, _R]], Tool[_P, _R]]:
    """Make a function a tool; `@tool`, `@tool(…)` and `tool(f)` are the same.

    The schema comes from the type hints; the description is the docstring's first paragraph, and a line
    `city: name of the city` (or Args:, Parameters, :param city:) describes a parameter. Parameters hinted `Context`,
    `IdempotencyKey` and `Option[…]` are filled in for the function and not shown to the model.
    Raises ToolDefinitionError saying what is wrong, where, and what to write instead.
    """
    local_names = sys._getframe(1).f_locals

    def make(function: Callable[_P, _R]) -> Tool[_P, _R]:
        return _make(function, local_names, name=name, description=description, timeout_s=timeout_s, retry=retry)

    return make if function is None else make(function)


def as_tool(value: Tool | Callable[..., object]) -> Tool:
    """The tool itself, or one made from a plain function. Raises ToolDefinitionError."""
    return value if isinstance(value, Tool) else tool(value)


def set_options(tool: Tool[_P, _R], options: Mapping[str, object], *, base: Path | None = None) -> Tool[..., _R]:
    """`Tool.with_options` for values from a file: relative paths among them start at the folder `base`."""
    bound = dict(tool.options)
    for name, value in options.items():
        if (option := tool.signature.options.get(name)) is None:
            known = ", ".join(tool.signature.options) or "none"
            meant = perhaps(name, tool.signature.options)
            raise refusal(tool.function, f"it has no option '{name}'", f"{meant}Its options: {known}.")
        bound[name] = _option_value(tool, name, option.hint, value, base)
    return replace(tool, options=MappingProxyType(bound))


def _make(
    function: Callable[_P, _R],
    local_names: Mapping[str, Any],
    *,
    name: str | None,
    description: str | None,
    timeout_s: float | None,
    retry: Retry,
) -> Tool[_P, _R]:
    if isinstance(function, Tool):
        raise refusal(function.function, "it is one already", "Use @tool once.")
    if inspect.isclass(function) or not callable(function):
        raise ToolDefinitionError(
            f"{function!r} cannot be a tool: it is not a function. Decorate a function with @tool."
        )
    if not inspect.isroutine(function):
        name = name or type(function).__name__
        function = MethodType(type(function).__call__, function)  # the signature and the docstring are its method's
    seen = inspect_function(function, local_names)
    if not (description or seen.description):
        raise refusal(function, "it has no docstring", "The model chooses by what it says: add one line.")
    return Tool(
        name=name or function.__name__,
        description=description or seen.description,
        parameters=seen.parameters,
        function=function,
        timeout_s=timeout_s,
        retry=retry,
        signature=seen.signature,
    )


def _option_value(owner: Tool, name: str, hint: Any, value: object, base: Path | None) -> object:
    from agentrt.toolkit.adapters import convert_option

    try:
        converted = convert_option(hint, value)
    except ValueError as error:
        raise refusal(
            owner.function, f"option '{name}' = {value!r} does not fit: {error}", "Correct its value."
        ) from None
    return converted if base is None else _based(converted, base)


def _based(value: object, base: Path) -> object:
    if isinstance(value, Path):
        return base / value.expanduser()
    if isinstance(value, (list, tuple, set, frozenset)) and any(isinstance(item, Path) for item in value):
        return type(value)(_based(item, base) for item in value)
    return value
