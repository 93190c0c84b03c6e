"""How the parts of an Office document refer to each other: relationship files (`_rels/NAME.rels`)."""

from __future__ import annotations

import posixpath

from agentrt.files.formats.archive import Archive
from agentrt.files.formats.xml import Attributes, parse_xml


def relations(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """What a part refers to inside the document: id → (last word of the type, name of the part). "": the document."""
    folder, name = posixpath.split(part)
    found: dict[str, tuple[str, str]] = {}
    file = posixpath.join(folder, "_rels", f"{name}.rels")
    if file not in archive.names:
        return found

    def start(element: str, attributes: Attributes) -> None:
        if element == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            place = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], place)

    parse_xml(archive.pieces(file), start=start)
    return found


def main_part(archive: Archive, default: str) -> str:
    """The part that the document begins with."""
    for kind, place in relations(archive, "").values():
        if kind == "officeDocument" and place in archive.names:
            return place
    return default
