"""Run steps on the wire: answers only."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from agentrt.wire.messages import FileReference
from agentrt.wire.runs import UsageObject
from agentrt.wire.vector_stores import JudgedPassage, SearchOutcome

# What `include` may ask for: the text of search results, which is left out otherwise.
INCLUDE_SEARCH_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


class MessageReference(TypedDict):
    message_id: str


class MessageCreationDetails(TypedDict):
    type: Literal["message_creation"]
    message_creation: MessageReference


class FunctionCall(TypedDict):
    """output is null until it was submitted or the server's tool returned."""

    name: str
    arguments: str
    output: str | None


class FunctionCallObject(TypedDict):
    id: str
    type: Literal["function"]
    function: FunctionCall


class CodeLogs(TypedDict):
    type: Literal["logs"]
    logs: str


class CodeImage(TypedDict):
    type: Literal["image"]
    image: FileReference


class CodeCall(TypedDict):
    input: str
    outputs: list[CodeLogs | CodeImage]


class CodeCost(TypedDict):
    """What the code took: elapsed time, processor time, memory at most."""

    wall_ms: float
    cpu_ms: float
    max_rss_bytes: int


class CodeCallObject(TypedDict):
    """agentrt: when the code has run."""

    id: str
    type: Literal["code_interpreter"]
    code_interpreter: CodeCall
    agentrt: NotRequired[CodeCost]


class SearchRanking(TypedDict):
    ranker: Literal["auto", "default_2024_08_21"]
    score_threshold: float


class SearchText(TypedDict):
    type: Literal["text"]
    text: str


class SearchResult(TypedDict):
    """One file that was found; content only where INCLUDE_SEARCH_CONTENT was asked for."""

    file_id: str
    file_name: str
    score: float
    content: NotRequired[list[SearchText]]


class SearchCall(TypedDict):
    ranking_options: NotRequired[SearchRanking]
    results: NotRequired[list[SearchResult]]


class ReadCandidate(JudgedPassage):
    """A passage that a run's search considered. marker: of one that the model read; `beyond_budget`: no room was left
    for its text."""

    outcome: SearchOutcome | Literal["beyond_budget"]
    marker: str | None


class SearchAccount(TypedDict):
    """How a search came to its results. candidates: the best of total_candidates. tokens: about how many the model
    read, of budget_tokens. The models and what kept them from their work are as in SearchExplanation.
    """

    queries: list[str]
    tokens: int
    budget_tokens: int
    vector_model: str | None
    why_no_vectors: str | None
    rerank_model: str | None
    why_not_reranked: str | None
    total_candidates: int
    candidates: list[ReadCandidate]


class SearchCallObject(TypedDict):
    """agentrt: when the search has returned."""

    id: str
    type: Literal["file_search"]
    file_search: SearchCall
    agentrt: NotRequired[SearchAccount]


ToolCallObject: TypeAlias = CodeCallObject | SearchCallObject | FunctionCallObject


class ToolCallsDetails(TypedDict):
    type: Literal["tool_calls"]
    tool_calls: list[ToolCallObject]


StepDetails: TypeAlias = MessageCreationDetails | ToolCallsDetails


class StepError(TypedDict):
    """One code less than a run's last_error."""

    code: Literal["server_error", "rate_limit_exceeded"]
    message: str


class RunStepObject(TypedDict):
    """A message that was written, or one model turn's tool calls. Times are Unix seconds."""

    id: str
    object: Literal["thread.run.step"]
    created_at: int
    assistant_id: str
    thread_id: str
    run_id: str
    type: Literal["message_creation", "tool_calls"]
    status: Literal["in_progress", "cancelled", "failed", "completed", "expired"]
    step_details: StepDetails
    last_error: StepError | None
    expired_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    metadata: dict[str, str]
    usage: UsageObject | None
