"""Vector stores as people and scripts see them: a list, one store with what is wrong in it, what was deleted."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import click

from agentrt.cli.cells import clip, harmless
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.screen import Role, Screen, ago
from agentrt.cli.store_port import StoreDesk
from agentrt.cli.tables import show_table
from agentrt.clock import SystemClock
from agentrt.config.schema import Config
from agentrt.wire.vector_stores import StoreFoldersObject, VectorStoreFileObject, VectorStoreObject

_SHOWN: Final = 5
_STATUS: Final[Mapping[str, Role]] = {"completed": "ok", "in_progress": "accent", "expired": "warn", "failed": "bad"}
_WORDS: Final = {"completed": "ready", "in_progress": "indexing", "expired": "expired"}
_UNITS: Final = ("KB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Details:
    """A store. files: those to be shown; names: of all of them, by id; n_files: how many there are of that kind."""

    store: VectorStoreObject
    folders: StoreFoldersObject
    failures: Sequence[VectorStoreFileObject]
    files: Sequence[VectorStoreFileObject]
    names: Mapping[str, str]


def choose_store(config: Config, stores: Sequence[VectorStoreObject], text: str) -> VectorStoreObject:
    """The store of that id, or that agents.toml or its maker calls so, or the only one whose id begins so.

    Raises CliError.
    """
    declared = config.vector_stores.get(text)
    wanted = {text} if declared is None else {declared.id}
    found = [store for store in stores if store["id"] in wanted] or [s for s in stores if s["name"] == text]
    prefix = text if text.startswith("vs_") else f"vs_{text}"
    found = found or [store for store in stores if text and store["id"].startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = [_title(store) for store in found[:_SHOWN]] + (["…"] if len(found) > _SHOWN else [])
        raise CliError("E208", f'"{text}" fits {len(found)} vector stores', details=shown, fix="type more of the id")
    close = get_close_matches(text, [*config.vector_stores, *(store["name"] for store in stores)], 1)
    fix = f"did you mean {close[0]}?   " if close else ""
    raise CliError("E308", f'there is no vector store "{text}"', fix=f"{fix}agentrt stores lists them")


async def details(config: Config, desk: StoreDesk, text: str, *, shows_files: bool) -> Details:
    """Raises CliError."""
    store = choose_store(config, await desk.all(), text)
    if store["created_at"] == 0:
        fix = "agentrt serve makes it"
        raise CliError("E308", f'the vector store "{text}" is declared, and not there before the first start', fix=fix)
    failures = await desk.files(store["id"], status="failed")
    files = await desk.files(store["id"]) if shows_files else []
    ids = list(dict.fromkeys(file["id"] for file in (*failures[: _most(shows_files)], *files)))
    return Details(store, await desk.folders(store["id"]), failures, files, await desk.names(ids))


def show_stores(invocation: Invocation, stores: Sequence[VectorStoreObject]) -> None:
    out, err, config = invocation.out, invocation.err, invocation.config
    if invocation.is_json:
        out.line(json.dumps(stores, ensure_ascii=False))
        return
    if not stores:
        err.line("no vector stores; agentrt stores add FOLDER makes one, [vector_stores.NAME] declares one")
        return
    names, now = {spec.id: spec.name for spec in config.vector_stores.values()}, SystemClock().now()
    rows = [
        (
            clip(harmless(names.get(store["id"]) or store["name"] or "-"), 32),
            _state(store),
            f"{store['file_counts']['completed']:,}",
            f"{store['file_counts']['failed']:,}" if store["file_counts"]["failed"] else "",
            size(store["usage_bytes"]),
            "" if not store["created_at"] else ago(store["last_active_at"] or store["created_at"], now),
            store["id"],
        )
        for store in stores
    ]
    roles: list[Role] = [_STATUS.get(store["status"], "plain") for store in stores]
    heads = ("store", "state", "files", "failed", "size", "last used", "id")
    roles_of: list[Role | Sequence[Role]] = ["strong", roles, "plain", "bad", "plain", "dim", "dim"]
    show_table(out, heads, rows, roles=roles_of, numbers=("files", "failed", "size"))


def print_store(invocation: Invocation, found: Details) -> None:
    """One store: how it stands, its folders, and which files are not found and why."""
    out, store, folders = invocation.out, found.store, found.folders
    if invocation.is_json:
        named = [{**file, "filename": found.names.get(file["id"])} for file in found.files or found.failures]
        out.line(json.dumps({**store, "folders": folders, "files": named}, ensure_ascii=False))
        return
    now, counts = SystemClock().now(), store["file_counts"]
    kind = "agents.toml" if folders["name"] is not None else "api"
    title, about = harmless(folders["name"] or store["name"] or "-"), f"{store['id']} · {kind}"
    out.line(f"{out.paint(title, 'strong')}  {out.paint(about, 'dim')}")
    expires = store.get("expires_after")
    lines = [
        ("state", out.paint(_state(store), _STATUS.get(store["status"], "plain"))),
        ("files", _counted(counts["completed"], counts["in_progress"], counts["failed"], counts["cancelled"])),
        ("size", f"{size(store['usage_bytes'])} in the index"),
        ("used", ago(store["last_active_at"] or store["created_at"], now)),
        ("expires", f"after {expires['days']} days without use" if expires else ""),
        ("metadata", harmless(" ".join(f"{name}={value}" for name, value in store["metadata"].items()))),
        ("folders", harmless(", ".join(folders["folders"]))),
        ("checked", _checked(folders, now)),
    ]
    for name, text in lines:
        if text:
            out.line(f"  {out.paint(name.ljust(8), 'dim')} {text}")
    for problem in folders["problems"]:
        show_wrapped(out, "warn", harmless(problem), "warn")
    listed = {failure["path"]: failure["message"] for failure in folders["failures"]}
    for path, message in listed.items():
        show_wrapped(out, "failed", f"{harmless(path)}: {harmless(message)}", "bad")
    others = [file for file in found.failures if str(file.get("attributes", {}).get("path", "")) not in listed]
    for file in others[: _most(bool(found.files))]:
        error = file["last_error"]
        message = "" if error is None else error["message"]
        show_wrapped(out, "failed", f"{file_name(file, found.names)}: {harmless(message)}", "bad")
    if len(others) > _most(bool(found.files)):
        out.line(f"  {'':8} and {len(others) - _most(False):,} more: --files shows all")
    if found.files:
        _show_files(out, found)


def show_wrapped(out: Screen, head: str, text: str, role: Role) -> None:
    """`head  text`, the text in lines below each other on a terminal, whole elsewhere."""
    import textwrap

    lines = textwrap.wrap(text, max(20, out.width - 12)) if out.is_live else [" ".join(text.split())]
    for number, line in enumerate(lines or [""]):
        shown = out.paint(head.ljust(8), role) if number == 0 else " " * 8
        out.line(f"  {shown} {line}")


def file_name(file: VectorStoreFileObject, names: Mapping[str, str]) -> str:
    """The file's place in its folder, else what it is called, else its id."""
    path = file.get("attributes", {}).get("path")
    return harmless(str(path or names.get(file["id"]) or file["id"]))


async def confirm_and_delete(
    invocation: Invocation, desk: StoreDesk, texts: Sequence[str], *, is_sure: bool, deletes_files: bool
) -> None:
    """Delete stores, after asking on a terminal. Raises CliError."""
    stores = await desk.all()
    chosen = list(
        {store["id"]: store for store in (choose_store(invocation.config, stores, t) for t in texts)}.values()
    )
    declared = {spec.id: spec.name for spec in invocation.config.vector_stores.values()}
    for store in chosen:
        if store["id"] in declared:
            what = f"the vector store {declared[store['id']]} is declared in agents.toml"
            raise CliError("E402", what, fix=f"take [vector_stores.{declared[store['id']]}] out there")
    if not is_sure:
        if not sys.stdin.isatty():
            raise CliError("E601", "nobody is there to ask", fix="--yes deletes without asking")
        what = _title(chosen[0]) if len(chosen) == 1 else f"{len(chosen)} vector stores"
        n_files = sum(store["file_counts"]["total"] for store in chosen)
        also = f" and its {n_files:,} files" if deletes_files else ""
        click.confirm(f"delete {what}{also}?", abort=True, err=True)
    for store in chosen:
        if deletes_files:
            for file in await desk.files(store["id"]):
                await desk.delete_file(file["id"])
        await desk.delete(store["id"])
    if invocation.is_json:
        invocation.out.line(json.dumps([{"id": store["id"], "deleted": True} for store in chosen]))
    else:
        invocation.err.line(f"deleted {', '.join(_title(store) for store in chosen)}")


def size(n_bytes: float) -> str:
    """`812 B`, `1.4 MB`."""
    if n_bytes < 1024:
        return f"{n_bytes:.0f} B"
    for unit in _UNITS:
        n_bytes /= 1024
        if n_bytes < 1000 or unit == _UNITS[-1]:
            return f"{n_bytes:.1f} {unit}" if n_bytes < 9.95 else f"{n_bytes:.0f} {unit}"
    raise AssertionError(n_bytes)


def _show_files(out: Screen, found: Details) -> None:
    out.line()
    rows = [
        (
            {"completed": "ready", "in_progress": "indexing"}.get(file["status"], file["status"]),
            size(file["usage_bytes"]) if file["usage_bytes"] else "",
            file["id"],
            file_name(file, found.names),
        )
        for file in found.files
    ]
    roles: list[Role] = [_STATUS.get(file["status"], "plain") for file in found.files]
    show_table(out, ("state", "size", "id", "file"), rows, roles=(roles, "plain", "dim", "plain"), numbers=("size",))


def _most(shows_files: bool) -> int:
    return 1_000_000 if shows_files else 2 * _SHOWN


def _counted(ready: int, indexing: int, failed: int, cancelled: int) -> str:
    parts = ((ready, "ready"), (indexing, "being indexed"), (failed, "failed"), (cancelled, "cancelled"))
    return " · ".join(f"{n:,} {what}" for n, what in parts if n or what == "ready")


def _checked(folders: StoreFoldersObject, now: float) -> str:
    if not folders["folders"]:
        return ""
    if folders["checked_at"] is None:
        return "not yet: a running service does it"
    coming = f", {folders['pending']:,} of them on their way in" if folders["pending"] else ""
    return f"{ago(folders['checked_at'], now)}, {folders['files']:,} files{coming}"


def _state(store: VectorStoreObject) -> str:
    return _WORDS[store["status"]] if store["created_at"] else "declared"


def _title(store: VectorStoreObject) -> str:
    return harmless(f"{store['name']} ({store['id']})" if store["name"] else store["id"])
