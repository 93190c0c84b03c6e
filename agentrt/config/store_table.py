"""[vector_stores.*] as it is written. The other tables stand in `document.py`, what the values mean in `stores.py`."""

# ruff: noqa: RUF012 - pydantic copies a mutable default for every table

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agentrt.config.fields import Duration, Int, Name, Period, Table, Text

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class VectorStoreTable(Table):
    """A vector store that this file declares, with the folders whose files are in it."""

    id: Annotated[
        Name | None,
        Field(
            description="The store's id, if your app already stores one. Default: `vs_` and the table's name.",
            examples=["vs_handbook"],
        ),
    ] = None
    name: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=256)] | None,
        Field(description="The store's name. Default: the table's.", examples=["Handbook"]),
    ] = None
    folders: Annotated[
        list[Text],
        Field(
            max_length=64,
            description="Folders that are watched: what is in them and below is in the store. A relative path starts "
            "at the folder of this file.",
            examples=[["docs", "policies"]],
        ),
    ] = []
    include: Annotated[
        list[Text],
        Field(
            max_length=64,
            description="Which of their files: globs as in .gitignore, `*.md` or `guides/**`. Default: all.",
            examples=[["*.md", "*.pdf"]],
        ),
    ] = []
    ignore: Annotated[
        list[Text],
        Field(
            max_length=256,
            description="Which not, beside hidden files, those of version control, temporary and half-written ones.",
            examples=[["drafts/**", "*.log"]],
        ),
    ] = []
    check_every: Annotated[
        Duration,
        Field(
            ge=1,
            description="How often the folders are looked through.",
            examples=["30s"],
            json_schema_extra={"default": "30s"},
        ),
    ] = 30.0
    max_files: Annotated[
        Int,
        Field(
            ge=1,
            le=1_000_000,
            description="Files of all its folders together, at most; there is a warning when there are more.",
            examples=[10_000],
        ),
    ] = 10_000
    chunk_tokens: Annotated[Int, Field(ge=100, le=4096, description="Tokens of a chunk, at most.", examples=[800])] = (
        800
    )
    overlap_tokens: Annotated[
        Int | None,
        Field(ge=0, description="Tokens that two neighbouring chunks share. Default: half of a chunk.", examples=[400]),
    ] = None
    expires_after: Annotated[
        Period,
        Field(
            description="After how long without a search or a run it expires, in whole days. The next start brings it "
            "back.",
            examples=["30d"],
            json_schema_extra={"default": "forever"},
        ),
    ] = None
    attributes: Annotated[
        dict[AttributeName, Annotated[str, StringConstraints(max_length=512)]],
        Field(
            max_length=15,
            description="Up to 15 attributes that files of its folders get, beside `path`; searches can filter by "
            "them.",
            examples=[{"team": "hr"}],
        ),
    ] = {}
    metadata: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
        Field(max_length=16, description="Up to 16 pairs of texts that clients see.", examples=[{"team": "hr"}]),
    ] = {}
