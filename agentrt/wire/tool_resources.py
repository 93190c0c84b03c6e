"""tool_resources of assistants and threads: which files the hosted tools see.

Only a create takes the helper `vector_stores`, which asks the server to make the store; answers never show it. Making
it, and merging an update into what is stored, is not done here.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, Self, TypeAlias

from pydantic import AfterValidator, Field, Tag, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from agentrt.engine.message import JsonObject
from agentrt.wire.base import Body, Integer, Metadata, Omittable, as_sent, branch, one_of, refusal

# Requests ------------------------------------------------------------------------------------------------------------

FileIds = Annotated[list[str], Field(fail_fast=True)]


class CodeInterpreterFiles(Body):
    file_ids: Omittable[Annotated[FileIds, Field(max_length=20)]] = None


class FileSearchStores(Body):
    vector_store_ids: Omittable[Annotated[list[str], Field(max_length=1, fail_fast=True)]] = None


def _at_most_half(overlap: int, info: ValidationInfo) -> int:
    size = info.data.get("max_chunk_size_tokens")
    if size is not None and overlap > size // 2:
        raise PydanticCustomError("less_than_equal", "more than half", {"le": size // 2})
    return overlap


class StaticChunking(Body):
    """Tokens per chunk, and how many of them neighbours share: at most half."""

    max_chunk_size_tokens: Annotated[Integer, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[Integer, Field(ge=0), AfterValidator(_at_most_half)]


class AutoChunkingStrategy(Body):
    type: Literal["auto"]


class StaticChunkingStrategy(Body):
    type: Literal["static"]
    static: StaticChunking


ChunkingStrategyRequest: TypeAlias = Annotated[
    Annotated[AutoChunkingStrategy, Tag(branch("auto"))] | Annotated[StaticChunkingStrategy, Tag(branch("static"))],
    one_of("auto", "static"),
]


class VectorStoreHelper(Body):
    """A store to be made along the way."""

    file_ids: Omittable[FileIds] = None
    chunking_strategy: Omittable[ChunkingStrategyRequest] = None
    metadata: Metadata | None = None


class FileSearchSources(FileSearchStores):
    """A store that exists, or the wish for a new one; not both."""

    vector_stores: Omittable[Annotated[list[VectorStoreHelper], Field(max_length=1, fail_fast=True)]] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.vector_store_ids is not None and self.vector_stores is not None:
            raise refusal("provide either 'vector_store_ids' or 'vector_stores', not both.")
        return self


class ToolResourcesRequest(Body):
    """As updates and runs take them."""

    code_interpreter: Omittable[CodeInterpreterFiles] = None
    file_search: Omittable[FileSearchStores] = None


class CreateToolResourcesRequest(Body):
    """As creates take them: with the helper `vector_stores`."""

    code_interpreter: Omittable[CodeInterpreterFiles] = None
    file_search: Omittable[FileSearchSources] = None


# Answers -------------------------------------------------------------------------------------------------------------


class CodeInterpreterFilesObject(TypedDict):
    file_ids: NotRequired[list[str]]


class FileSearchStoresObject(TypedDict):
    vector_store_ids: NotRequired[list[str]]


class ToolResourcesObject(TypedDict):
    """Only what was set is there."""

    code_interpreter: NotRequired[CodeInterpreterFilesObject]
    file_search: NotRequired[FileSearchStoresObject]


# Conversion ----------------------------------------------------------------------------------------------------------


def read_tool_resources(resources: ToolResourcesRequest | CreateToolResourcesRequest | None) -> JsonObject | None:
    """The request's own JSON, the helper included; None, absent or null, stays None."""
    return None if resources is None else as_sent(resources)
