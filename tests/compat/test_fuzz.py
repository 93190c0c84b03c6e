"""Anything at all, sent to every endpoint of our own OpenAPI document: no 5xx, no answer that stays away, every error
in its envelope, every answer as both documents say.

The same requests every time; `make fuzz` tries new ones, and many more.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.openapi import build_document
from tests.compat.api import Api
from tests.compat.background import LoopThread
from tests.compat.deployment import KEY, Deployment
from tests.compat.wire_rules import complaints
from tests.compat.witness import Witness

# Beside the few thousand requests that schemathesis makes of the document's own limits.
N_EXAMPLES = int(os.environ.get("AGENTRT_FUZZ_EXAMPLES") or 10)  # noqa: TID251 - how long to look, set by `make fuzz`
IS_LONG = N_EXAMPLES > 10
LONGEST_ANSWER_S = 15

DOCUMENT = build_document(create_app(Runtime()).routes, version="0", needs_key=True)
schema = schemathesis.openapi.from_dict(DOCUMENT)
HEADERS = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "assistants=v2"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance]


class Target:
    """The service, with objects whose ids are put in the place of some of the nonsense."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        with Api(url) as api:
            self.thread_id = api.thread("Hello")
            run = api.wait(api.run(self.thread_id, "asst_declared"))
            answer = api.http.post(
                "/files", files={"file": ("notes.txt", b"notes")}, data={"purpose": "assistants"}
            ).json()
            self.ids = {
                "thread_id": self.thread_id,
                "run_id": run["id"],
                "step_id": api.steps(run)[0]["id"],
                "message_id": api.messages(self.thread_id)[0]["id"],
                "assistant_id": api.actor("hello"),
                "file_id": answer["id"],
                "vector_store_id": api.post("/vector_stores", {"file_ids": [answer["id"]]})["id"],
                "model": "demo",
            }

    def aim(self, case: schemathesis.Case[Any]) -> None:
        """Put real ids in the place of most: what is unknown is refused at the door."""
        deletes = case.method.upper() == "DELETE"
        for container in (case.path_parameters, case.query, case.body):
            if not isinstance(container, dict) or deletes:
                continue
            for name, value in container.items():
                if name in self.ids and isinstance(value, str) and zlib.crc32(value.encode()) % 4:
                    container[name] = self.ids[name]


@pytest.fixture(scope="module")
def target(service: Deployment, servers: LoopThread) -> Iterator[Target]:
    """Through a witness; it is heard after each operation."""
    witness = Witness(service.port)
    servers.run(witness.start())
    found = Target(witness.url)
    yield found
    found.session.close()
    servers.run(witness.stop())
    wrong = complaints(witness.exchanges)
    assert not wrong, "\n".join(wrong[:20])


@schema.parametrize()
@settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    derandomize=not IS_LONG,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_any_request_gets_a_proper_answer(case: schemathesis.Case[Any], target: Target) -> None:
    target.aim(case)
    headers: dict[str, Any] = dict(case.headers or {}) | HEADERS
    response = case.call(
        base_url=target.url, session=target.session, headers=headers, timeout=LONGEST_ANSWER_S, allow_redirects=False
    )
    # Events have no schema in an OpenAPI document; the witness knows them.
    is_stream = any("text/event-stream" in kind for kind in response.headers["content-type"])
    case.validate_response(response, checks=CHECKS if is_stream else [*CHECKS, response_schema_conformance])
