"""How the tests here read a body: from real JSON bytes."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import pytest

from agentrt.errors import InvalidRequestError
from agentrt.wire.base import Body, parse_body

BodyT = TypeVar("BodyT", bound=Body)


def read(model: type[BodyT], body: object) -> BodyT:
    return parse_body(model, msgspec.json.encode(body))


def refused(model: type[Body], body: object) -> tuple[str | None, str | None, str]:
    """param, code and message of the one error."""
    with pytest.raises(InvalidRequestError) as caught:
        read(model, body)
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    return caught.value.param, caught.value.code, caught.value.message
