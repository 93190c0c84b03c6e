"""The conversation before a run, from the store: read newest first, and only as far as the window takes it."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from agentrt.engine.message import ImageFilePart, ImageUrlPart, Message, Part, TextPart
from agentrt.engine.window import Window
from agentrt.store.database import Store
from agentrt.store.history import Entry, read_history

ReadImage: TypeAlias = Callable[[str], Awaitable[tuple[bytes, str] | None]]
"""File id → (bytes, media type); None when the file is gone."""

_FIRST_PAGE = 32
_MAX_PAGE = 512


class StoredHistory:
    """A thread's entries before a place. What one model call read, the run's next call does not read again."""

    def __init__(self, store: Store, thread_id: str, *, position: int, read_image: ReadImage) -> None:
        self._store = store
        self._thread_id = thread_id
        self._place: tuple[int, int] = (position, 0)
        self._read_image = read_image
        self._entries: list[Entry] = []
        self._is_exhausted = False
        self._page = _FIRST_PAGE
        self._images: dict[str, Part] = {}

    async def fill(self, window: Window) -> None:
        """See perform.History."""
        n = 0
        while True:
            for entry in self._entries[n:]:
                n += 1
                if not window.offer(entry.messages, counts=entry.is_message):
                    return
            if self._is_exhausted:
                return
            await self._read_more()

    async def images(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """See perform.History."""
        return tuple([await self._with_images(message) for message in messages])

    async def _read_more(self) -> None:
        place, page = self._place, self._page
        found, is_more = await self._store.read(lambda tx: read_history(tx, self._thread_id, before=place, limit=page))
        self._entries.extend(found)
        self._is_exhausted = not is_more
        if found:
            self._place = found[-1].place
        self._page = min(page * 2, _MAX_PAGE)

    async def _with_images(self, message: Message) -> Message:
        if not any(isinstance(part, ImageFilePart) for part in message.parts):
            return message
        parts = [await self._image(p) if isinstance(p, ImageFilePart) else p for p in message.parts]
        return replace(message, parts=tuple(parts))

    async def _image(self, part: ImageFilePart) -> Part:
        if part.file_id not in self._images:
            found = await self._read_image(part.file_id)
            if found is None:
                self._images[part.file_id] = TextPart(f"[the image {part.file_id} was deleted]")
            else:
                data, media_type = found
                url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
                self._images[part.file_id] = ImageUrlPart(url, part.detail)
        return self._images[part.file_id]
