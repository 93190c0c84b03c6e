"""Links in an answer to files that stand in a session's folder: `[report](sandbox:/mnt/data/report.csv)`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from agentrt.engine.message import FilePath

LINK: Final = "sandbox:/mnt/data/"

_GOES_ON = re.compile(r"[\w/%-]|\.\w", re.ASCII)


class Links(NamedTuple):
    """has_unknown: there are also links to no file that is known."""

    found: tuple[FilePath, ...]
    has_unknown: bool


def find_links(text: str, files: Mapping[str, str]) -> Links:
    """The links in a text to files, by path → file id. A path may hold spaces, or be written as in a URL."""
    spelled = {spelling: file_id for path, file_id in files.items() for spelling in (quote(path), path)}
    longest_first = sorted(spelled, key=len, reverse=True)
    found: list[FilePath] = []
    has_unknown = False
    for match in re.finditer(re.escape(LINK), text):
        begin, place = match.span()
        for spelling in longest_first:
            end = place + len(spelling)
            if text.startswith(spelling, place) and not _GOES_ON.match(text, end):
                found.append(FilePath(text[begin:end], begin, end, spelled[spelling]))
                break
        else:
            has_unknown = True
    return Links(tuple(found), has_unknown)
