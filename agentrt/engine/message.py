"""One neutral conversation shape, shared by every dialect and every model client."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
    JsonObject: TypeAlias = dict[str, JsonValue]
else:  # msgspec reads annotations at run time and knows no recursive alias; any decoded JSON is a JsonValue
    JsonValue = Any
    JsonObject = dict[str, Any]


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FileCitation(msgspec.Struct, frozen=True, tag_field="type", tag="file_citation"):
    """A marker in a text that names what was found in a file. start, end: code points; `value[start:end] == text`."""

    text: str
    start: int
    end: int
    file_id: str


class FilePath(msgspec.Struct, frozen=True, tag_field="type", tag="file_path"):
    """A link in a text to a file that code wrote (`sandbox:/mnt/data/…`). start, end as in FileCitation."""

    text: str
    start: int
    end: int
    file_id: str


Annotation: TypeAlias = FileCitation | FilePath


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text", omit_defaults=True):
    text: str
    annotations: tuple[Annotation, ...] = ()


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrlPart(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFilePart(msgspec.Struct, frozen=True, tag_field="type", tag="image_file"):
    """A stored file. Before a model call it is turned into an ImageUrlPart with a data: URL."""

    file_id: str
    detail: Literal["auto", "low", "high"] = "auto"


Part: TypeAlias = TextPart | RefusalPart | ImageUrlPart | ImageFilePart


class ToolCall(msgspec.Struct, frozen=True):
    """A function call as the model wrote it; `arguments` is its raw text, valid JSON or not."""

    id: str
    name: str
    arguments: str


class Logs(msgspec.Struct, frozen=True, tag_field="type", tag="logs"):
    """What code printed."""

    text: str


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """What code drew, as a stored file."""

    file_id: str


CodeOutput: TypeAlias = Logs | Image


class MadeFile(msgspec.Struct, frozen=True):
    """A file that code wrote, and what it is stored as."""

    path: str
    file_id: str


class CodeShown(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="code_interpreter", omit_defaults=True
):
    """What a step shows of code that was run. outputs in the order in which they came. wall_ms: 0 = it did not run."""

    outputs: tuple[CodeOutput, ...] = ()
    files: tuple[MadeFile, ...] = ()
    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    max_rss_bytes: int = 0


class SearchHit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A passage that was found, as the model read it. marker: what the model writes to cite it.

    page: 0 = the file has none. start, end: its place in the file's text, in code points.
    """

    file_id: str
    file_name: str
    score: float
    text: str
    marker: str = ""
    page: int = 0
    start: int = 0
    end: int = 0


SearchFate: TypeAlias = Literal["kept", "covered", "below_threshold", "beyond_limit", "beyond_budget"]
"""`covered`: a better passage of the same file has most of its text. `beyond_budget`: no room was left for its text."""


class SearchCandidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A passage that was considered, and what became of it. The place as in SearchHit; chunk: its number in the file.

    keyword_score: BM25; vector_score: a cosine; None: not among that list's best. fused_score, fused_rank: of both;
    rerank_score: None = no reranker looked at it. score, rank: the final ones. Scores but BM25 are from 0 to 1, ranks
    begin at 1. words: those of the queries that it has. marker: of one that was kept.
    """

    file_id: str
    file_name: str
    score: float
    fate: SearchFate
    store_id: str = ""
    chunk: int = 0
    page: int = 0
    start: int = 0
    end: int = 0
    keyword_score: float | None = None
    vector_score: float | None = None
    fused_score: float = 0.0
    fused_rank: int = 0
    rerank_score: float | None = None
    rank: int = 0
    words: tuple[str, ...] = ()
    marker: str = ""


class SearchShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="file_search", omit_defaults=True):
    """What a step shows of a search, the best hit first.

    candidates: the best of all that were considered, n_candidates. vector_model: whose vectors were compared; None:
    words only. rerank_model: whose scores count in the end; None: no reranker's. why_…: what kept a model that there
    is from its work. n_tokens: about how many of budget_tokens the passages took.
    """

    hits: tuple[SearchHit, ...] = ()
    ranker: str = "auto"
    score_threshold: float = 0.0
    queries: tuple[str, ...] = ()
    candidates: tuple[SearchCandidate, ...] = ()
    n_candidates: int = 0
    vector_model: str | None = None
    why_no_vectors: str | None = None
    rerank_model: str | None = None
    why_not_reranked: str | None = None
    n_tokens: int = 0
    budget_tokens: int = 0

    @property
    def brief(self) -> str:
        """What models of later runs read of it: which passages it showed, without the texts.

        All of them would be paid for with every model call to come, and can be searched for again.
        """
        lines = [f"{hit.marker} {hit.file_name}{f', page {hit.page}' if hit.page else ''}" for hit in self.hits]
        return "\n".join(["Passages of these files were shown. Search again to read one:", *lines])


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call returned. `error` is a short code when it failed; `output` is always what the model reads.

    shown: what a step shows of a hosted tool's call beside that.
    """

    call_id: str
    output: str
    error: str | None = None
    shown: CodeShown | SearchShown | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the files that the call's images are stored as."""
        outputs = self.shown.outputs if isinstance(self.shown, CodeShown) else ()
        return tuple(output.file_id for output in outputs if isinstance(output, Image))


class Message(msgspec.Struct, frozen=True):
    """One entry of a conversation as a model sees it.

    tool_calls only on assistant messages; call_id only on tool messages, naming the call they answer.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None

    @property
    def text(self) -> str:
        """All text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one or more model calls. cached is a part of prompt, reasoning a part of completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


def system(text: str) -> Message:
    return Message(Role.SYSTEM, (TextPart(text),))


def user(text: str) -> Message:
    return Message(Role.USER, (TextPart(text),))


def assistant(text: str, *tool_calls: ToolCall, annotations: tuple[Annotation, ...] = ()) -> Message:
    return Message(Role.ASSISTANT, (TextPart(text, annotations),) if text else (), tool_calls)


def tool_answer(result: ToolResult) -> Message:
    return Message(Role.TOOL, (TextPart(result.output),), call_id=result.call_id)
