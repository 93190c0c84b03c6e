"""The text of an indexed file, as it was indexed: page by page, without what overlaps."""

from __future__ import annotations

from typing import Final

import msgspec

from agentrt.errors import InvalidRequestError
from agentrt.store.database import Tx
from agentrt.store.search_files import read_texts
from agentrt.store.search_index import find_file_key
from agentrt.store.vector_store_files import VectorStoreFile

PIECES: Final = 1000
"""In one page: about half a million tokens with the default chunking."""

_LAST: Final = (1 << 63) - 1


class ContentPage(msgspec.Struct, frozen=True):
    """Pieces of a text, which are one behind the other. next_page: where it goes on, None at its end."""

    texts: list[str]
    next_page: str | None


def read_content(tx: Tx, file: VectorStoreFile, page: str | None, *, n: int = PIECES) -> ContentPage:
    """A page; None for the first. Raises InvalidRequestError when the file is not indexed, or for a page that is none.

    A file that is indexed anew meanwhile has other pages: one of before is then empty.
    """
    file_key = find_file_key(tx, file.store_id, file.file_id)
    if file_key is None:
        raise InvalidRequestError(f"The file {file.file_id} has no content here: its status is {file.status}.")
    found = read_texts(tx, file_key, after=_place(page), n=n + 1)
    shown = found[:n]
    return ContentPage([text for _, text in shown if text], str(shown[-1][0]) if len(found) > n else None)


def _place(page: str | None) -> int:
    if page is None:
        return -1
    if not (page.isascii() and page.isdigit() and len(page) < 20 and int(page) < _LAST):
        raise InvalidRequestError(
            "Invalid 'page': expected the 'next_page' of the answer before.", param="page", code="invalid_value"
        )
    return int(page)
