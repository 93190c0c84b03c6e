"""A function's signature taken apart: what the model sends, what the runtime injects, what the operator sets."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from agentrt.engine.message import JsonObject
from agentrt.errors import ToolDefinitionError
from agentrt.toolkit.context import Context, IdempotencyKey, OptionMark
from agentrt.toolkit.docstring import Docstring, read_docstring
from agentrt.toolkit.schema import NO_DEFAULT, Parameter, object_schema
from agentrt.toolkit.shape import Converter, HintError


@dataclass(frozen=True, slots=True)
class OptionHint:
    """A parameter that the operator sets."""

    hint: Any
    is_required: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """How a JSON object becomes a call. The default passes every argument on by its name, unconverted.

    positional_only: (name, default) in order; every other argument goes in by its name.
    """

    converters: Mapping[str, Converter] = field(default_factory=dict)
    positional_only: tuple[tuple[str, object], ...] = ()
    context_names: tuple[str, ...] = ()
    key_names: tuple[str, ...] = ()
    options: Mapping[str, OptionHint] = field(default_factory=dict)

    def bind(
        self, arguments: dict[str, object], context: Context[Any], options: Mapping[str, object]
    ) -> tuple[list[object], dict[str, object]]:
        """Positional and keyword arguments of the call. Takes `arguments` over."""
        arguments.update(options)
        for name in self.context_names:
            arguments[name] = context
        for name in self.key_names:
            arguments[name] = context.idempotency_key
        return [arguments.pop(name, default) for name, default in self.positional_only], arguments


@dataclass(frozen=True, slots=True)
class Inspected:
    """Everything that a function says about itself."""

    description: str
    parameters: JsonObject
    signature: Signature


def inspect_function(function: Callable[..., object], local_names: Mapping[str, Any]) -> Inspected:
    """Read hints and docstring. local_names: what hints may refer to beside the function's own globals.

    Raises ToolDefinitionError: what is wrong, where, and how to put it right.
    """
    parameters = _parameters(function)
    hints = _hints(function, local_names)
    doc = read_docstring(inspect.getdoc(function), [parameter.name for parameter in parameters])
    asked: list[Parameter] = []
    contexts: list[str] = []
    keys: list[str] = []
    options: dict[str, OptionHint] = {}
    for parameter in parameters:
        if parameter.name not in hints:
            raise _unhinted(function, parameter.name)
        hint = hints[parameter.name]
        if _is_or_holds(hint, Context):
            contexts.append(parameter.name)
        elif _is_or_holds(hint, IdempotencyKey):
            keys.append(parameter.name)
        elif (option_hint := _option_hint(hint)) is not None:
            options[parameter.name] = OptionHint(option_hint, is_required=parameter.default is NO_DEFAULT)
        else:
            asked.append(_asked(parameter, hint, doc))
    try:
        schema, converters = object_schema(asked)
    except HintError as error:
        raise refusal(function, f"{error}", "Use types that JSON can carry, or a pydantic model.") from error
    positional = tuple((p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_ONLY)
    return Inspected(
        description=doc.description,
        parameters=schema,
        signature=Signature(converters, positional, tuple(contexts), tuple(keys), options),
    )


def where(function: Callable[..., object]) -> str:
    """`file.py:12`, or the module of a function that has no source."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    if (code := getattr(plain, "__code__", None)) is None:
        return str(getattr(plain, "__module__", None) or "built-in")
    path = Path(code.co_filename)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{code.co_firstlineno}"


def refusal(function: Callable[..., object], what: str, fix: str) -> ToolDefinitionError:
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return ToolDefinitionError(f"{name} ({where(function)}) cannot be a tool: {what.rstrip('.')}. {fix}")


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise refusal(function, "its signature is unknown", "Wrap it in a function of your own.") from error
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise refusal(
                function,
                f"{str(parameter).split(':')[0]} takes arguments that no schema can name",
                "Name each parameter, or take one list or dict.",
            )
    return parameters


def _hints(function: Callable[..., object], local_names: Mapping[str, Any]) -> dict[str, Any]:
    plain = inspect.unwrap(getattr(function, "__func__", function))
    global_names = getattr(plain, "__globals__", {})
    try:
        annotations = getattr(function, "__annotations__", {})
        holder = types.SimpleNamespace(__annotations__={k: v for k, v in annotations.items() if k != "return"})
        try:
            return typing.get_type_hints(holder, globalns=global_names, include_extras=True)
        except NameError:  # a type of the function around it
            return typing.get_type_hints(holder, globalns={**global_names, **local_names}, include_extras=True)
    except NameError as error:
        raise refusal(
            function,
            f"the name {error.name!r} in its hints is not defined",
            "Import it at the top of the file, not under TYPE_CHECKING, and define it before the function.",
        ) from error
    except (SyntaxError, TypeError, AttributeError) as error:
        raise refusal(function, f"a hint cannot be read: {error}", "Correct the hint.") from error


def _unhinted(function: Callable[..., object], name: str) -> ToolDefinitionError:
    if name in ("self", "cls"):
        return refusal(
            function, "it is a method without its object", "Make the tool from the bound method: tool(x.method)."
        )
    return refusal(function, f"parameter '{name}' has no type hint", f"Write `{name}: str` or what it is.")


def _asked(parameter: inspect.Parameter, hint: Any, doc: Docstring) -> Parameter:
    """What the model sends. Text in Annotated is the description and goes before the docstring's."""
    description = doc.parameters.get(parameter.name, "")
    if get_origin(hint) is Annotated:
        plain, *metadata = get_args(hint)
        if texts := [item for item in metadata if isinstance(item, str)]:
            description = " ".join(texts)
            others = tuple(item for item in metadata if not isinstance(item, str))
            hint = Annotated[(plain, *others)] if others else plain
    return Parameter(parameter.name, hint, description, parameter.default)


def _is_or_holds(hint: Any, wanted: object) -> bool:
    """Whether a hint is `wanted`, `wanted[…]`, or either of them or None."""
    if hint is wanted or get_origin(hint) is wanted:
        return True
    if get_origin(hint) is Annotated or get_origin(hint) in (Union, types.UnionType):
        return any(_is_or_holds(arg, wanted) for arg in get_args(hint))
    return False


def _option_hint(hint: Any) -> Any | None:
    if get_origin(hint) is not Annotated:
        return None
    plain, *metadata = get_args(hint)
    others = tuple(item for item in metadata if not isinstance(item, OptionMark))
    if len(others) == len(metadata):
        return None
    return Annotated[(plain, *others)] if others else plain
