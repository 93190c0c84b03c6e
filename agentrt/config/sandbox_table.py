"""[sandboxes.*] as it is written. The other tables stand in `document.py`, what the values mean in `sandboxes.py`."""

# ruff: noqa: RUF012 - pydantic copies a mutable default for every table

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from agentrt.config.fields import (
    Duration,
    Float,
    HostName,
    Int,
    Lifetime,
    PackageName,
    Size,
    Table,
    Text,
    show_value,
    wrong,
)
from agentrt.config.schema import SandboxDriver

Preset: TypeAlias = Literal["strict", "standard", "network"]

NO_NETWORK: Final = "none"


def _as_hosts(value: object) -> object:
    if value == NO_NETWORK:
        return []
    if isinstance(value, str):
        raise wrong(f"{show_value(value)} is no list of hosts", f'"{NO_NETWORK}", or a list: ["api.example.com"]')
    return value


Network = Annotated[
    list[HostName],
    BeforeValidator(_as_hosts),
    WithJsonSchema(
        {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "if": {"type": "string"},
            "then": {"enum": [NO_NETWORK]},
        }
    ),
]


class SandboxPoolTable(Table):
    """How many sandboxes there are, and for how long."""

    warm: Annotated[
        Int, Field(ge=0, le=1000, description="Sandboxes that are started before anybody wants one.", examples=[2])
    ] = 0
    max: Annotated[
        Int,
        Field(
            ge=1,
            description="Sandboxes in use at once; above it the one that was idle for longest goes.",
            examples=[64],
        ),
    ] = 64
    ttl: Annotated[
        Lifetime,
        Field(
            description="How long a thread's sandbox lives unused; then its files are saved and it is removed. "
            "0 = for ever.",
            examples=["1h"],
            json_schema_extra={"default": "1h"},
        ),
    ] = 3600.0
    life: Annotated[
        Lifetime,
        Field(
            description="How long it lives at all, used or not. 0 = for ever.",
            examples=["1d"],
            json_schema_extra={"default": 0},
        ),
    ] = 0.0


class SandboxTable(Table):
    """Where code that a model writes runs."""

    driver: Annotated[
        SandboxDriver,
        Field(
            description="What isolates: a container engine, bubblewrap (Linux), or the Monty interpreter; `auto` is "
            "the first of them that works. `unsafe-local` isolates nothing.",
            examples=["auto"],
        ),
    ] = "auto"
    preset: Annotated[
        Preset,
        Field(
            description="Where the other keys start: `strict` has less of everything, `network` reaches the index "
            "that pip asks.",
            examples=["standard"],
        ),
    ] = "standard"
    image: Annotated[
        Text | None,
        Field(
            description="`docker`: an image with Python 3.9 or newer, instead of building one.",
            examples=["registry.example.com/science:3"],
        ),
    ] = None
    build: Annotated[
        Text | None,
        Field(
            description="`docker`: a folder with a Dockerfile. Default: `sandboxes/python`, here or as it comes with "
            "agentrt.",
            examples=["sandboxes/python"],
        ),
    ] = None
    packages: Annotated[
        list[PackageName],
        Field(description="`docker`: what pip adds to the image, once.", examples=[["scipy", "scikit-learn>=1.5"]]),
    ] = []
    memory: Annotated[
        Size,
        Field(
            ge=64 * 1024**2,
            description="Memory of all its processes, files in /tmp and /mnt/data included.",
            examples=["512MB"],
            json_schema_extra={"default": "512MB"},
        ),
    ] = 512 * 1024**2
    cpus: Annotated[Float, Field(ge=0.05, le=1024, description="CPU cores; 0.5 is half of one.", examples=[1.0])] = 1.0
    processes: Annotated[Int, Field(ge=8, description="Processes and threads at once.", examples=[128])] = 128
    disk: Annotated[
        Size,
        Field(
            ge=1024**2,
            description="Size of /mnt/data. It is memory, and counts as such.",
            examples=["256MB"],
            json_schema_extra={"default": "256MB"},
        ),
    ] = 256 * 1024**2
    timeout: Annotated[
        Duration,
        Field(
            description="Longest time of one call; variables survive its end.",
            examples=["60s"],
            json_schema_extra={"default": "60s"},
        ),
    ] = 60.0
    network: Annotated[
        Network,
        Field(
            description='`"none"`, or the hosts that code may reach; `*.` in front means all below, `:8080` a port '
            "other than 80 and 443.",
            examples=[["api.example.com", "*.example.org"]],
            json_schema_extra={"default": NO_NETWORK},
        ),
    ] = []
    environment: Annotated[
        dict[Text, str],
        Field(description="Variables that code sees; nothing else of the service's is.", examples=[{"TZ": "UTC"}]),
    ] = {}
    runtime: Annotated[
        Text | None,
        Field(description="`docker`: a runtime of the engine's, such as gVisor's.", examples=["runsc"]),
    ] = None
    pool: SandboxPoolTable = SandboxPoolTable()
