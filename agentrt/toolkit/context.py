"""What a tool gets beside the model's arguments: the call's Context, its idempotency key, the operator's options.

Each is asked for by a parameter's hint, and none of them is part of the schema that the model sees:

    @tool(retry="idempotent")
    async def refund(
        order: str, amount: float, *, shop: Context[Shop], key: IdempotencyKey, currency: Option[str] = "EUR"
    ) -> str: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, NewType, TypeAlias, TypeVar

if TYPE_CHECKING:
    # A type variable with a default (PEP 696) lets strict code write a bare `Context`. typing has it from 3.13 on.
    from typing_extensions import TypeVar as TypeVarWithDefault

    T_co = TypeVarWithDefault("T_co", covariant=True, default=Any)
else:
    T_co = TypeVar("T_co", covariant=True)

_T = TypeVar("_T")

IdempotencyKey = NewType("IdempotencyKey", str)
"""The same for every attempt at one call, different for every call: pass it on to whatever must happen only once."""


@dataclass(frozen=True, slots=True)
class Context(Generic[T_co]):
    """The call that a tool is answering.

    value is what the embedding app passed as `context=`, None when it passed nothing.
    metadata is the run's; run_id and thread_id are empty when a tool is called outside a run.
    """

    value: T_co
    run_id: str = ""
    thread_id: str = ""
    call_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def idempotency_key(self) -> IdempotencyKey:
        return IdempotencyKey(f"{self.run_id}:{self.call_id}")


@dataclass(frozen=True, slots=True)
class OptionMark:
    """Metadata of an `Option` parameter."""


Option: TypeAlias = Annotated[_T, OptionMark()]
"""A parameter that the operator sets and the model never sees: `folder: Option[Path]`.

In agents.toml: `[tools.search] options = { folder = "docs" }`; in code: `search.with_options(folder="docs")`.
Values are converted to the hint; a relative Path starts at the folder of agents.toml. An option without a default
must be set before the tool can be registered.
"""
