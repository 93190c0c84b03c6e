"""The port over HTTP: a server that holds the database answers, with nothing but its public API."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from agentrt.cli.port import (
    AgentRow,
    CallRow,
    Happening,
    LoggedEvent,
    MessageRow,
    RunBegan,
    RunRow,
    RunsWanted,
    ThreadRow,
)
from agentrt.cli.problems import CliError
from agentrt.cli.remote_api import PAGE, Api, Json
from agentrt.cli.remote_events import StreamReader
from agentrt.cli.remote_schedules import RemoteSchedules
from agentrt.cli.remote_stores import RemoteStores
from agentrt.cli.remote_webhooks import RemoteWebhooks
from agentrt.cli.run_rows import logged_event, run_row
from agentrt.errors import NotFoundError
from agentrt.http import open_client

_CONNECT_S: Final = 5.0
# A stream is silent while a tool works; a server that is gone closes the connection.
_SILENCE_S: Final = 3600.0
# A person's word may be anything; what can be no id names nothing, and has no place in a path.
_ID: Final = re.compile(r"[\w-]+")
_EVENTS_PAGE: Final = 1000
_ACTIVE: Final = ("queued", "in_progress", "requires_action", "cancelling")


@asynccontextmanager
async def open_remote(url: str, *, key: str | None, names: Mapping[str, str]) -> AsyncIterator[RemoteEngine]:
    """Talk to the server at url (without `/v1`). names: what agents.toml calls the agents, by assistant id."""
    async with open_client(connect_timeout_s=_CONNECT_S, read_timeout_s=_SILENCE_S, trust_env=False) as client:
        yield RemoteEngine(Api(client, url, key), names)


class RemoteShelf:
    """Reads through the API."""

    def __init__(self, api: Api, names: Mapping[str, str]) -> None:
        self._api = api
        self._names = names
        self.schedules = RemoteSchedules(api)

    async def has_drivers(self) -> bool:
        workers = (await self._api.health())["workers"]
        return any(worker["is_alive"] and worker["role"] != "api" for worker in workers)

    async def agents(self) -> list[AgentRow]:
        rows = [
            AgentRow(
                id=item["id"],
                name=self._names.get(item["id"]) or item["name"] or "",
                model=item["model"],
                tools=tuple(_tool_name(tool) for tool in item["tools"]),
                origin="toml" if item["id"] in self._names else "api",
            )
            async for item in self._api.pages("/assistants", {})
        ]
        places = {assistant_id: place for place, assistant_id in enumerate(self._names)}
        return sorted(rows, key=lambda row: places.get(row.id, len(places)))

    async def threads(
        self, *, limit: int, after: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> list[ThreadRow]:
        query: dict[str, str | int] = {f"metadata[{name}]": value for name, value in (metadata or {}).items()}
        if after is not None:
            query["after"] = after
        rows: list[ThreadRow] = []
        async for item in self._api.pages("/threads", {**query, "limit": min(limit, PAGE)}):
            rows.append(ThreadRow(item["id"], item["created_at"], item["metadata"]))
            if len(rows) == limit:
                break
        return rows

    async def thread(self, thread_id: str) -> ThreadRow | None:
        if not _ID.fullmatch(thread_id):
            return None
        try:
            item = await self._api.call("GET", f"/threads/{thread_id}")
        except NotFoundError:
            return None
        return ThreadRow(item["id"], item["created_at"], item["metadata"])

    async def messages(
        self, thread_id: str, *, limit: int | None = None, newest_first: bool = False
    ) -> list[MessageRow]:
        rows: list[MessageRow] = []
        order = "desc" if newest_first else "asc"
        query: dict[str, str | int] = {"order": order, "limit": min(limit or PAGE, PAGE)}
        async for item in self._api.pages(f"/threads/{thread_id}/messages", query):
            text = "\n\n".join(_part_text(part) for part in item["content"])
            rows.append(
                MessageRow(item["id"], item["created_at"], item["role"], text, item["status"] or "", item["run_id"])
            )
            if len(rows) == limit:
                break
        return rows

    async def calls(self, thread_id: str) -> Mapping[str, Sequence[CallRow]]:
        found: dict[str, list[CallRow]] = {}
        async for run in self._api.pages(f"/threads/{thread_id}/runs", {"order": "asc"}):
            path = f"/threads/{thread_id}/runs/{run['id']}/steps"
            found[run["id"]] = [
                CallRow(call["id"], call["function"]["name"], call["function"]["arguments"])
                async for step in self._api.pages(path, {"order": "asc"})
                for call in step["step_details"].get("tool_calls", ())
                if call["type"] == "function"
            ]
        return found

    async def delete_thread(self, thread_id: str) -> None:
        await self._api.call("DELETE", f"/threads/{thread_id}")

    async def runs(self, only: RunsWanted, *, limit: int, after: str | None = None) -> list[RunRow]:
        asked = {
            "status": ",".join(only.statuses),
            "assistant_id": only.assistant_id,
            "thread_id": only.thread_id,
            "created_after": only.since,
            "after": after,
        }
        query = {name: value for name, value in asked.items() if value}
        rows: list[RunRow] = []
        async for item in self._api.pages("/runs", {**query, "limit": min(limit, PAGE)}):
            rows.append(run_row(item))
            if len(rows) == limit:
                break
        return rows

    async def run(self, run_id: str) -> RunRow | None:
        if not _ID.fullmatch(run_id):
            return None
        try:
            return run_row(await self._api.call("GET", f"/runs/{run_id}"))
        except NotFoundError:
            return None

    async def run_ids(self, prefix: str, *, limit: int) -> list[str]:
        page = await self._api.call("GET", "/runs", query={"id_prefix": prefix, "limit": min(limit, PAGE)})
        return [str(item["id"]) for item in page["data"]]

    async def run_events(self, run_id: str, *, after: tuple[int, int] | None = None) -> list[LoggedEvent]:
        found: list[LoggedEvent] = []
        place = "" if after is None else f"{after[0]}.{after[1]}"
        has_more = True
        while has_more:
            query: dict[str, str | int] = {"limit": _EVENTS_PAGE, **({"starting_after": place} if place else {})}
            page = await self._api.call("GET", f"/runs/{run_id}/events", query=query)
            found += [logged for item in page["data"] if (logged := logged_event(item)) is not None]
            place, has_more = page["last_id"], page["has_more"]
        return found

    async def cancel_run(self, run_id: str) -> RunRow:
        return run_row(await self._api.call("POST", f"/runs/{run_id}/cancel"))


class RemoteEngine:
    """Runs on the server."""

    def __init__(self, api: Api, names: Mapping[str, str]) -> None:
        self._api = api
        self.shelf = RemoteShelf(api, names)
        self.webhooks = RemoteWebhooks(api)
        self.stores = RemoteStores(api)

    @property
    def url(self) -> str:
        return self._api.url

    async def new_thread(self, metadata: Mapping[str, str]) -> str:
        thread = await self._api.call("POST", "/threads", body={"metadata": dict(metadata)})
        return str(thread["id"])

    async def run(
        self, thread_id: str, assistant_id: str, text: str, *, model: str | None = None
    ) -> AsyncGenerator[Happening, None]:
        body: Json = {
            "assistant_id": assistant_id,
            "additional_messages": [{"role": "user", "content": text}],
            "stream": True,
        }
        if model is not None:
            body["model"] = model
        async for happening in self._happenings("POST", f"/threads/{thread_id}/runs", body):
            yield happening

    async def submit(self, thread_id: str, run_id: str, outputs: Mapping[str, str]) -> AsyncGenerator[Happening, None]:
        rows = [{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()]
        path = f"/threads/{thread_id}/runs/{run_id}/submit_tool_outputs"
        yield RunBegan(run_id, thread_id)
        async for happening in self._happenings("POST", path, {"tool_outputs": rows, "stream": True}):
            yield happening

    async def fire(self, schedule_id: str) -> AsyncGenerator[Happening, None]:
        run = await self._api.call("POST", f"/schedules/{quote(schedule_id, safe='')}/run")
        async for happening in self.follow(run["thread_id"], run["id"]):
            yield happening

    async def follow(self, thread_id: str, run_id: str) -> AsyncGenerator[Happening, None]:
        yield RunBegan(run_id, thread_id)
        async for happening in self._happenings("GET", f"/threads/{thread_id}/runs/{run_id}/stream"):
            yield happening

    async def cancel(self, thread_id: str, run_id: str) -> None:
        try:
            await self._api.call("POST", f"/threads/{thread_id}/runs/{run_id}/cancel")
        except CliError as error:
            if error.code != "E210":  # it has ended already
                raise

    async def retry(self, run_id: str) -> RunRow:
        return run_row(await self._api.call("POST", f"/runs/{run_id}/retry"))

    async def active_run(self, thread_id: str) -> str | None:
        page = await self._api.call("GET", f"/threads/{thread_id}/runs", query={"limit": PAGE})
        active = [run["id"] for run in page["data"] if run["status"] in _ACTIVE]
        return str(active[-1]) if active else None  # newer ones are queued behind it

    async def _happenings(self, method: str, path: str, body: Json | None = None) -> AsyncGenerator[Happening, None]:
        reader = StreamReader()
        async for name, data in self._api.stream(method, path, body):
            for happening in reader.read(name, data):
                yield happening


def _tool_name(tool: Json) -> str:
    return str(tool["function"]["name"] if tool["type"] == "function" else tool["type"])


def _part_text(part: Json) -> str:
    match part["type"]:
        case "text":
            return str(part["text"]["value"])
        case "refusal":
            return str(part["refusal"])
        case _:
            return "[image]"
