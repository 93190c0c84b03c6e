"""What a scripted model server answers at `/rerank`: passages that share words with the question are judged better.

It is no language model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.testing.model_answers import Answer, ReceivedRequest, Reply, Script, body_reply, error

RerankForm: TypeAlias = Literal["cohere", "voyage", "tei", "logits"]
"""`logits`: as llama.cpp sends them, in Cohere's shape."""


def shared_words(query: str, passage: str) -> float:
    """The share of the query's words that the passage has, a little less than 1 at most."""
    asked, there = set(query.lower().split()), {word.strip(".,;:!?") for word in passage.lower().split()}
    return 0.01 + 0.98 * len(asked & there) / max(1, len(asked))


def rerank_script(form: RerankForm = "cohere") -> Script:
    """Answers every request in the form of one server, the best passage first, and refuses what that server does."""

    def answer(request: ReceivedRequest) -> Answer:
        body = request.body
        if form == "tei" and "texts" not in body:
            message = "Failed to deserialize the JSON body into the target type: missing field `texts`"
            return body_reply(message.encode(), status=422, content_type="text/plain")
        if form == "voyage" and "top_n" in body:
            return error(400, "Argument 'top_n' is not supported by our API")
        query = str(body.get("query"))
        scores = [shared_words(query, passage) for passage in passages_of(body)]
        return rerank_reply([math.log(score / (1 - score)) for score in scores] if form == "logits" else scores, form)

    return answer


def rerank_reply(scores: Sequence[object], form: RerankForm = "cohere") -> Reply:
    """The answer with these scores, numbered from 0; the best first where they can be compared."""
    name = "score" if form == "tei" else "relevance_score"
    items = [{"index": n, name: score} for n, score in enumerate(scores)]
    items.sort(key=lambda item: -item[name] if isinstance(item[name], (int, float)) else 0.0)  # type: ignore[operator]
    if form == "tei":
        return body_reply(msgspec.json.encode(items))
    body: dict[str, object] = {"model": "puppet", "data" if form == "voyage" else "results": items}
    return body_reply(msgspec.json.encode(body | {"usage": {"total_tokens": 8}}))


def passages_of(body: JsonObject) -> list[str]:
    """The passages of a request."""
    given: JsonValue = body.get("texts", body.get("documents"))
    return [str(one) for one in given] if isinstance(given, list) else []
