"""Requests to one server, and what its errors mean for a person. Knows no resource of the API."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentrt.cli.problems import CliError
from agentrt.errors import NotFoundError
from agentrt.http import network_errors
from agentrt.models.sse import EventParser

if TYPE_CHECKING:
    import httpx

PAGE: Final = 100
"""The largest page that the API gives."""

_ANSWER_S: Final = 30.0
_UPLOAD_S: Final = 600.0
_MISSING: Final = re.compile(r"No ([a-z ]+) found with id '([^']*)'")
_REFUSED: Final = ("E210", "the server refused the request")
_STATUSES: Final = {
    403: ("E402", "this is not allowed"),
    404: ("E305", "the server does not know this"),
    429: ("E704", "too many requests"),
}

Json = dict[str, Any]


class Api:
    """Requests to one server; its errors in the command line's words."""

    def __init__(self, client: httpx.AsyncClient, url: str, key: str | None) -> None:
        self.url = url
        self._client = client
        self._headers = {"OpenAI-Beta": "assistants=v2", "Authorization": f"Bearer {key or 'none'}"}
        self._has_key = key is not None

    async def call(
        self, method: str, path: str, *, body: Json | None = None, query: Mapping[str, str | int] | None = None
    ) -> Json:
        """One request, its JSON answer. Raises CliError, and NotFoundError for a thread that is not there."""
        return await self._call(method, f"{self.url}/v1{path}", body=body, query=query)

    async def upload(self, path: str, file: Path, *, filename: str, fields: Mapping[str, str]) -> Json:
        """Send a file as a form. Raises CliError, OSError when it cannot be read."""
        with file.open("rb") as source:
            try:
                answer = await self._client.post(
                    f"{self.url}/v1{path}",
                    data=dict(fields),
                    files={"file": (filename, source, "application/octet-stream")},
                    headers=self._headers,
                    timeout=_UPLOAD_S,
                )
            except network_errors() as error:
                raise self._unreachable(error) from error
        if answer.status_code >= 400:
            raise self._refused(answer.status_code, answer.content)
        made: Json = answer.json()
        return made

    async def health(self) -> Json:
        """What the service says of itself. Raises CliError."""
        return await self._call("GET", f"{self.url}/healthz")

    async def _call(
        self, method: str, url: str, *, body: Json | None = None, query: Mapping[str, str | int] | None = None
    ) -> Json:
        try:
            answer = await self._client.request(
                method, url, json=body, params=query, headers=self._headers, timeout=_ANSWER_S
            )
        except network_errors() as error:
            raise self._unreachable(error) from error
        if answer.status_code >= 400:
            raise self._refused(answer.status_code, answer.content)
        found: Json = answer.json()
        return found

    async def pages(self, path: str, query: Mapping[str, str | int]) -> AsyncIterator[Json]:
        """Every object of a list."""
        after: Mapping[str, str | int] = {}
        while True:
            page = await self.call("GET", path, query={"limit": PAGE, **query, **after})
            for item in page["data"]:
                yield item
            if not page["has_more"] or not page["data"]:
                return
            after = {"after": page["data"][-1]["id"]}

    async def stream(self, method: str, path: str, body: Json | None = None) -> AsyncGenerator[tuple[str, Json], None]:
        """Server-sent events as (name, data), up to `done`. Raises CliError."""
        parser = EventParser()
        request = self._client.build_request(method, f"{self.url}/v1{path}", json=body, headers=self._headers)
        try:
            answer = await self._client.send(request, stream=True)
            try:
                if answer.status_code >= 400:
                    raise self._refused(answer.status_code, await answer.aread())
                async for chunk in answer.aiter_bytes():
                    for event in parser.feed(chunk):
                        if event.event == "done":
                            return
                        yield event.event, _decode(event.data)
            finally:
                await answer.aclose()
        except network_errors() as error:
            raise self._unreachable(error) from error
        raise CliError("E504", "the server ended the stream before the run's end", fix="agentrt chat --last goes on")

    def _unreachable(self, error: Exception) -> CliError:
        why = str(error) or type(error).__name__
        fix = "look at the server's own output, or stop it to work without it"
        return CliError("E501", f"the server at {self.url} cannot be reached", why=why, fix=fix)

    def _refused(self, status: int, content: bytes) -> Exception:
        message, code = _read_error(content)
        message = message or f"the server answered {status}"
        if status == 401:
            fix = "--key KEY" if self._has_key else "--key KEY: the server asks for one"
            return CliError("E401", "the server did not accept the key", why=message, fix=fix)
        if missing := _MISSING.match(message):
            return NotFoundError(missing[1], missing[2])
        if code == "model_not_found":
            return CliError("E304", "the server has no such model to use", why=message, fix="agentrt models lists them")
        if status == 400 and "active run" in message:
            fix = "wait for it, or take a new thread"
            return CliError("E209", "another run is at work on the thread", why=message, fix=fix)
        number, what = _STATUSES.get(status, ("E504", "the server failed") if status >= 500 else _REFUSED)
        return CliError(number, what, why=message)


def _decode(data: bytes) -> Json:
    found = json.loads(data)
    return found if isinstance(found, dict) else {}


def _read_error(content: bytes) -> tuple[str | None, str | None]:
    """Message and code of an error envelope."""
    try:
        error = _decode(content)["error"]
        return str(error["message"]), error["code"]
    except (ValueError, KeyError, TypeError):
        return None, None
