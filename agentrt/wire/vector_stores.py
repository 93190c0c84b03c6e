"""Vector stores, their files and batches, and searching them, on the wire.

What a search filter means belongs to agentrt/retrieval; here it is any JSON object. `explain` and its answer are
agentrt's own.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal, NotRequired, Self, TypeAlias

from pydantic import AfterValidator, Field, Tag, model_validator
from typing_extensions import TypedDict

from agentrt.engine.message import JsonObject
from agentrt.wire.base import (
    Body,
    Boolean,
    Decimal,
    Integer,
    Metadata,
    Omittable,
    branch,
    few_pairs,
    refusal,
    string_or_array,
    text_or_number,
)
from agentrt.wire.tool_resources import ChunkingStrategyRequest

StoreFileStatus: TypeAlias = Literal["in_progress", "completed", "failed", "cancelled"]
SearchOutcome: TypeAlias = Literal["kept", "covered", "below_threshold", "beyond_limit"]

STORE_FILE_STATUSES: Final = ("in_progress", "completed", "failed", "cancelled")

_MAX_ATTRIBUTES: Final = 16
_MAX_QUERY: Final = 16_384
_MAX_QUERIES: Final = 20
_MAX_NAME: Final = 512

# Requests ------------------------------------------------------------------------------------------------------------

AttributeValue: TypeAlias = str | int | float | bool


def _finite(value: float) -> float:
    # JSON has integers of any length, and an index has numbers of 64 bits.
    if abs(value) > sys.float_info.max:
        raise refusal("the number is too large.")
    return value


_Value = Annotated[
    Annotated[str, Field(max_length=512), Tag(branch("string"))]
    | Annotated[Integer | Decimal, AfterValidator(_finite), Tag(branch("number"))]
    | Annotated[Boolean, Tag(branch("boolean"))],
    text_or_number(expected="a string, a number, or a boolean"),
]
Attributes = Annotated[
    dict[Annotated[str, Field(max_length=64)], _Value],
    Field(json_schema_extra={"maxProperties": _MAX_ATTRIBUTES}),
    few_pairs(_MAX_ATTRIBUTES),
]
FileId = Annotated[str, Field(min_length=1, max_length=256)]


def _says_something(text: str) -> str:
    # The contract's schema lets an empty one through. It would find nothing, and cost the embedding model a call.
    if not text.strip():
        raise refusal("a query must have more in it than white space.")
    return text


Query = Annotated[str, Field(max_length=_MAX_QUERY), AfterValidator(_says_something)]


class ExpirationRequest(Body):
    """After how many days of rest a store expires."""

    anchor: Literal["last_active_at"]
    days: Annotated[Integer, Field(ge=1, le=365)]


class CreateVectorStoreRequest(Body):
    """POST /vector_stores. description: the contract takes it, and no answer of it has it: it is not kept."""

    name: Annotated[str, Field(max_length=_MAX_NAME)] | None = None
    description: str | None = None
    file_ids: Omittable[Annotated[list[FileId], Field(max_length=500, fail_fast=True)]] = None
    expires_after: ExpirationRequest | None = None
    chunking_strategy: Omittable[ChunkingStrategyRequest] = None
    metadata: Metadata | None = None


class UpdateVectorStoreRequest(Body):
    """POST /vector_stores/{vector_store_id}: null clears, absent stays."""

    name: Annotated[str, Field(max_length=_MAX_NAME)] | None = None
    expires_after: ExpirationRequest | None = None
    metadata: Metadata | None = None


class CreateVectorStoreFileRequest(Body):
    """POST /vector_stores/{vector_store_id}/files."""

    file_id: FileId
    chunking_strategy: Omittable[ChunkingStrategyRequest] = None
    attributes: Attributes | None = None


class UpdateVectorStoreFileRequest(Body):
    """POST /vector_stores/{vector_store_id}/files/{file_id}."""

    attributes: Attributes | None


class CreateVectorStoreFileBatchRequest(Body):
    """POST /vector_stores/{vector_store_id}/file_batches. chunking_strategy, attributes: of all file_ids."""

    file_ids: Omittable[Annotated[list[FileId], Field(min_length=1, max_length=2000, fail_fast=True)]] = None
    files: Omittable[
        Annotated[list[CreateVectorStoreFileRequest], Field(min_length=1, max_length=2000, fail_fast=True)]
    ] = None
    chunking_strategy: Omittable[ChunkingStrategyRequest] = None
    attributes: Attributes | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.file_ids is None) == (self.files is None):
            raise refusal("provide either 'file_ids' or 'files', and not both.")
        return self


class RankingOptionsRequest(Body):
    """`none`: no more is looked at than the words and the meaning of each passage."""

    ranker: Omittable[Literal["none", "auto", "default-2024-11-15"]] = None
    score_threshold: Omittable[Annotated[Decimal, Field(ge=0, le=1)]] = None


class SearchVectorStoreRequest(Body):
    """POST /vector_stores/{vector_store_id}/search."""

    query: Annotated[
        Annotated[Query, Tag(branch("string"))]
        | Annotated[list[Query], Field(min_length=1, max_length=_MAX_QUERIES, fail_fast=True), Tag(branch("array"))],
        string_or_array(expected="a string or an array of strings"),
    ]
    rewrite_query: Omittable[Boolean] = None
    max_num_results: Omittable[Annotated[Integer, Field(ge=1, le=50)]] = None
    filters: JsonObject | None = None
    ranking_options: RankingOptionsRequest | None = None
    explain: Omittable[Boolean] = None


# Answers -------------------------------------------------------------------------------------------------------------


class FileCountsObject(TypedDict):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class ExpirationObject(TypedDict):
    anchor: Literal["last_active_at"]
    days: int


class VectorStoreObject(TypedDict):
    """A vector store. `name` is empty when it has none: SDKs call it a string. Times are Unix seconds."""

    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str
    usage_bytes: int
    file_counts: FileCountsObject
    status: Literal["expired", "in_progress", "completed"]
    expires_after: NotRequired[ExpirationObject | None]
    expires_at: NotRequired[int | None]
    last_active_at: int | None
    metadata: dict[str, str]


class VectorStoreDeleted(TypedDict):
    id: str
    object: Literal["vector_store.deleted"]
    deleted: Literal[True]


class StoreFileError(TypedDict):
    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class StaticChunkingObject(TypedDict):
    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class ChunkingStrategyObject(TypedDict):
    """`auto` is told as what it means."""

    type: Literal["static"]
    static: StaticChunkingObject


class VectorStoreFileObject(TypedDict):
    """A file in a vector store; `id` is the file's. usage_bytes: 0 until it is indexed."""

    id: str
    object: Literal["vector_store.file"]
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: StoreFileStatus
    last_error: StoreFileError | None
    chunking_strategy: NotRequired[ChunkingStrategyObject]
    attributes: NotRequired[dict[str, AttributeValue]]


class VectorStoreFileDeleted(TypedDict):
    id: str
    object: Literal["vector_store.file.deleted"]
    deleted: Literal[True]


class WatchFailure(TypedDict):
    """A file of a folder that is not found as it is."""

    path: str
    message: str


class StoreFoldersObject(TypedDict):
    """The folders of a store that agents.toml declares; agentrt's own.

    name: the table's; null: the store is not declared. checked_at: when they were looked through last, Unix seconds.
    files: how many of them are in the store; pending: how many of these are being indexed. problems: of the folders
    themselves; failures: the first of files, by path, failed of them in all.
    """

    id: str
    object: Literal["vector_store.folders"]
    name: str | None
    folders: list[str]
    checked_at: int | None
    files: int
    pending: int
    failed: int
    problems: list[str]
    failures: list[WatchFailure]


class VectorStoreFileBatchObject(TypedDict):
    """Files that were put into a store together."""

    id: str
    object: Literal["vector_store.files_batch"]
    created_at: int
    vector_store_id: str
    status: StoreFileStatus
    file_counts: FileCountsObject


class TextContent(TypedDict):
    type: Literal["text"]
    text: str


class FileContentPage(TypedDict):
    """The text of a file as it was indexed; the pieces of all pages, one behind the other."""

    object: Literal["vector_store.file_content.page"]
    data: list[TextContent]
    has_more: bool
    next_page: str | None


class SearchResultObject(TypedDict):
    file_id: str
    filename: str
    score: float
    attributes: dict[str, AttributeValue]
    content: list[TextContent]


class JudgedPassage(TypedDict):
    """A passage that was considered. chunk_index, start_index, end_index: where it is in the text of its file.

    keyword_score: BM25; vector_score: a cosine; null: not among the best of that list. page: null when the format has
    none. rerank_score: null when no reranker looked at it.
    """

    vector_store_id: str
    file_id: str
    filename: str
    chunk_index: int
    page: int | None
    start_index: int
    end_index: int
    keyword_score: float | None
    vector_score: float | None
    fused_score: float
    fused_rank: int
    rerank_score: float | None
    score: float
    rank: int
    matched_terms: list[str]


class SearchCandidate(JudgedPassage):
    """What became of a passage and why."""

    outcome: SearchOutcome


class SearchExplanation(TypedDict):
    """vector_model: whose vectors were compared; null: words only. why_no_vectors: what kept a store's from it.

    rerank_model: whose scores count in the end; null: no reranker's. why_not_reranked: what kept it from judging.
    """

    vector_model: str | None
    why_no_vectors: str | None
    rerank_model: str | None
    why_not_reranked: str | None
    candidates: list[SearchCandidate]


class SearchResultsPage(TypedDict):
    """What was found, the best first. explain: when the request asked for it."""

    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResultObject]
    has_more: bool
    next_page: str | None
    explain: NotRequired[SearchExplanation]
