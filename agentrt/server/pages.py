"""List requests → the store's pages, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.responses import Response

from agentrt.server.endpoint import Call, answer
from agentrt.store.database import Record
from agentrt.store.pages import Page, PageQuery
from agentrt.wire.pages import read_page_query, render_page
from agentrt.wire.run_steps import INCLUDE_SEARCH_CONTENT

R = TypeVar("R", bound=Record)
ItemT = TypeVar("ItemT", bound=Mapping[str, object])


def query_parameter(name: str, schema: Mapping[str, Any], description: str) -> Mapping[str, Any]:
    """A query parameter as OpenAPI describes it."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


INCLUDE = query_parameter(
    "include[]",
    {"type": "array", "items": {"type": "string", "enum": [INCLUDE_SEARCH_CONTENT]}},
    "Also return the text of search results.",
)


def page_parameters(*, max_limit: int = 100, default_limit: int = 20, kind: str) -> tuple[Mapping[str, Any], ...]:
    """What every list takes. kind: what an object of the list is called."""
    limit = {"type": "integer", "minimum": 1, "maximum": max_limit, "default": default_limit}
    order = {"type": "string", "enum": ["asc", "desc"], "default": "desc"}
    return (
        query_parameter("limit", limit, "How many objects to return."),
        query_parameter("order", order, "By the time of their creation."),
        query_parameter("after", {"type": "string"}, f"Only what follows the {kind} with this ID."),
        query_parameter("before", {"type": "string"}, f"Only what stands directly before the {kind} with this ID."),
    )


def page_query(call: Call, *, max_limit: int = 100, default_limit: int = 20) -> PageQuery:
    """What the caller asks for. Raises InvalidRequestError."""
    asked = read_page_query(call.query, max_limit=max_limit, default_limit=default_limit)
    return PageQuery(limit=asked.limit, order=asked.order, after=asked.after, before=asked.before)


def answer_page(page: Page[R], render: Callable[[R], ItemT]) -> Response:
    """One page as JSON."""
    return answer(render_page([render(item) for item in page.items], has_more=page.has_more))
