"""The process's environment: its one home, and `AGENTRT__SERVER__PORT=9000`, which overrides a key of agents.toml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrt.config.positions import KeyPath

OVERRIDE_PREFIX = "AGENTRT__"


class FromText(str):
    """Text that came out of a variable: a number or a boolean may be written in it, where a literal needs none."""

    __slots__ = ()


def process_environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - the one home of the environment


def calm_numpy() -> None:
    """Let numpy, once it is imported, use one thread for each product of matrices unless somebody has said how many.

    For programs that are ours alone. OpenBLAS's threads wait for each other by spinning: on a machine that has other
    work to do, which a server has, the local embedding model then takes thirty times as long (3.1 s in place of 0.1 s
    for a passage at a load of 18 on two CPUs), and on an idle one 45 ms in place of 58.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - the one home of the environment


def openai_server(environ: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """(base URL, key) of the server that OPENAI_BASE_URL and OPENAI_API_KEY name, as the official SDKs read them."""
    environ = process_environment() if environ is None else environ
    return environ.get("OPENAI_BASE_URL") or None, environ.get("OPENAI_API_KEY") or None


def overrides(environ: Mapping[str, str]) -> dict[str, tuple[KeyPath, object]]:
    """The overriding variables: name → (key path in lower case, value).

    A value that is a TOML array or inline table is read as such, every other one is text for the key's type.
    """
    return {
        name: (tuple(part.lower() for part in name.removeprefix(OVERRIDE_PREFIX).split("__")), _value(text))
        for name, text in sorted(environ.items())
        if name.startswith(OVERRIDE_PREFIX)
    }


def _value(text: str) -> object:
    if text.lstrip()[:1] in ("[", "{"):
        import tomllib

        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return FromText(text)
    return FromText(text)


def actual_key(table: Mapping[str, object], part: str) -> str:
    """The key of table that an overriding variable means: case does not matter, and `_` also stands for `-` and `.`."""
    for key in table:
        if key.lower().replace("-", "_").replace(".", "_") == part:
            return key
    return part
