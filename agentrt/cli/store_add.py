"""`agentrt stores add`: what of a folder is new or changed goes into a store; what became of it is told at the end.

A file is known again by its path and the SHA-256 of its bytes, which it has as attributes in the store. How far it all
is while it goes on is store_progress.py's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentrt.cli.cells import harmless
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.screen import Screen, duration
from agentrt.cli.store_port import StoreDesk
from agentrt.cli.store_progress import Progress
from agentrt.cli.store_sending import Failure, Item, Sending
from agentrt.cli.store_views import choose_store, show_wrapped, size
from agentrt.clock import SystemClock
from agentrt.files.folder import FolderView, FoundFile, view_folder

if TYPE_CHECKING:
    from agentrt.wire.vector_stores import VectorStoreFileObject, VectorStoreObject

_SHOWN: Final = 10
_READ_BYTES: Final = 1 << 20
# Not even asked of the server: nothing reads them.
_NO_TEXT_KINDS: Final = """
    png jpg jpeg gif webp bmp tif tiff ico heic mp3 m4a wav ogg flac mp4 m4v mov avi mkv webm zip gz tgz bz2 xz zst 7z
    rar tar jar exe dll so dylib o a bin iso dmg pyc class wasm woff woff2 ttf otf sqlite db parquet npy
"""
_NO_TEXT: Final = frozenset(_NO_TEXT_KINDS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said. store: None = as the folder is called."""

    folder: Path
    store: str | None = None
    include: Sequence[str] = ()
    ignore: Sequence[str] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What became of it all. unread: files by kinds that have no text, `png` → how many."""

    store_id: str
    store: str
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    unread: dict[str, int] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)


async def add(invocation: Invocation, desk: StoreDesk, wanted: Wanted) -> None:
    """Raises CliError: E104 at the end when files were not indexed."""
    began = SystemClock().monotonic()
    view, prefix = await asyncio.to_thread(_view, wanted)
    unread = Counter(_kind(file) for file in view.files if _kind(file) in _NO_TEXT)
    files = [file for file in view.files if _kind(file) not in _NO_TEXT]
    if not files:
        why = f"no text in them: {_listed(unread)}" if unread else "no file is left of what is there, or it is empty"
        fix = "name a folder with documents in it, or a document"
        raise CliError("E309", f"there is nothing to add in {wanted.folder}", why=why, fix=fix)
    store = await _store(invocation, desk, wanted)
    there = {str(file.get("attributes", {}).get("path")): file for file in reversed(await desk.files(store["id"]))}
    outcome = Outcome(store["id"], store["name"] or store["id"], unread=dict(unread))
    outcome.failed += [Failure(left.name, left.why) for left in view.left_out]
    progress = Progress(invocation, n_files=len(files), size_bytes=sum(file.size_bytes for file in files))
    sending = Sending(desk, store["id"], progress, attributes=wanted.attributes)
    try:
        await sending.run(_items(files, prefix, there, outcome, progress))
    except asyncio.CancelledError:
        await sending.put_rest()
        progress.clear()
        invocation.err.line("stopped; the same command goes on from here")
        raise
    finally:
        progress.clear()
    outcome.added, outcome.replaced, outcome.size_bytes = sending.n_added, sending.n_replaced, sending.sent_bytes
    outcome.failed += sorted(sending.failures, key=lambda failure: failure.path)
    outcome.seconds = round(SystemClock().monotonic() - began, 1)
    _tell(invocation, outcome)


def _view(wanted: Wanted) -> tuple[FolderView, str]:
    """What is to be added, and what stands before its names. Raises CliError."""
    folder = wanted.folder.expanduser()
    try:
        if folder.is_file():
            there = folder.stat()
            one = FoundFile(folder.name, folder.resolve(), there.st_size, there.st_mtime_ns)
            return FolderView([one] if there.st_size else [], []), ""
        view = view_folder(folder, include=wanted.include, ignore=wanted.ignore)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError("E309", f"{wanted.folder} cannot be read", why=why, fix="agentrt stores add FOLDER") from None
    files = [file for file in view.files if file.size_bytes]
    name = folder.resolve().name
    return FolderView(files, view.left_out), f"{name}/" if name else ""


async def _store(invocation: Invocation, desk: StoreDesk, wanted: Wanted) -> VectorStoreObject:
    """The store that was named, made if it is not there. Raises CliError."""
    name = wanted.store or wanted.folder.expanduser().resolve().name or "files"
    stores = await desk.all()
    try:
        return choose_store(invocation.config, stores, name)
    except CliError as error:
        if error.code != "E308" or name.startswith("vs_"):
            raise
    made = await desk.create(name)
    invocation.err.line(f"made the vector store {harmless(name)} ({made['id']})")
    return made


def _items(
    files: Sequence[FoundFile],
    prefix: str,
    there: Mapping[str, VectorStoreFileObject],
    outcome: Outcome,
    progress: Progress,
) -> Iterator[Item]:
    """What is to be sent; reads every file to see whether it has changed."""
    for file in files:
        path = (prefix + file.name)[:512]
        known = there.get(path)
        try:
            digest = _digest(file.path)
        except OSError as error:
            outcome.failed.append(Failure(path, (error.strerror or str(error)).lower()))
            progress.skip(file.size_bytes)
            continue
        is_same = known is not None and known.get("attributes", {}).get("sha256") == digest
        if known is not None and is_same and known["status"] in ("completed", "in_progress"):
            outcome.unchanged += 1
            progress.skip(file.size_bytes)
            continue
        known_id = None if known is None else known["id"]
        yield Item(file=file, path=path, digest=digest, known_id=known_id, is_same=is_same)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _tell(invocation: Invocation, outcome: Outcome) -> None:
    err, n_failed = invocation.err, len(outcome.failed)
    if invocation.is_json:
        invocation.out.line(json.dumps(asdict(outcome), ensure_ascii=False))
    else:
        _show_failures(err, outcome.failed)
        if outcome.unread:
            show_wrapped(err, "left out", f"no text in them: {_listed(outcome.unread)}", "dim")
        counts = ((outcome.added, "added"), (outcome.replaced, "replaced"), (outcome.unchanged, "unchanged"))
        parts = [f"{n:,} {what}" for n, what in counts if n] + ([f"{n_failed:,} failed"] if n_failed else [])
        took = f"{size(outcome.size_bytes)} in {duration(outcome.seconds)}"
        err.line(f"{err.paint(harmless(outcome.store), 'strong')}: {', '.join(parts) or 'nothing to do'} · {took}")
    if n_failed:
        n_all = n_failed + outcome.added + outcome.replaced + outcome.unchanged
        what = f"{n_failed:,} of {n_all:,} files {'was' if n_failed == 1 else 'were'} not indexed"
        raise CliError("E104", what, fix=f"agentrt stores show {outcome.store_id} lists them")


def _show_failures(err: Screen, failures: Sequence[Failure]) -> None:
    """Under each reason the files that it is true of."""
    reasons: dict[str, list[str]] = {}
    for failure in failures:
        reasons.setdefault(failure.message, []).append(failure.path)
    for reason, paths in reasons.items():
        show_wrapped(err, "failed", harmless(reason), "bad")
        for path in paths[:_SHOWN]:
            err.line(f"  {'':8}   {err.paint(harmless(path), 'dim')}")
        if len(paths) > _SHOWN:
            err.line(f"  {'':8}   and {len(paths) - _SHOWN:,} more: --json has all")


def _kind(file: FoundFile) -> str:
    return file.path.suffix.lower().removeprefix(".")


def _listed(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0])))
