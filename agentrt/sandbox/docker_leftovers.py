"""What stands on a container engine because of us: the sandboxes of all processes, and images that grew old.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agentrt.sandbox.docker_box import LABEL, OWNER_LABEL, remove, session_of
from agentrt.sandbox.docker_image import repositories

if TYPE_CHECKING:
    from docker import APIClient

_ENDED: Final = ("exited", "dead")
_START_S: Final = 300.0


class FoundBox(msgspec.Struct, frozen=True, kw_only=True):
    """A container. session: None = warm, nobody's yet. state: in the engine's words. created_at: Unix seconds."""

    box_id: str
    sandbox: str
    owner: str
    session: str | None
    state: str
    created_at: float


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """How much was removed. image_bytes: what the images said that they have; layers may be shared."""

    n_boxes: int
    n_images: int
    image_bytes: int


def find_boxes(client: APIClient) -> list[FoundBox]:
    """Every sandbox on the engine, newest first."""
    return [_found(container) for container in client.containers(all=True, filters={"label": LABEL})]


def remove_leftovers(client: APIClient, *, in_use: Collection[str], sandboxes: Collection[str], now: float) -> Removed:
    """Remove containers that have ended, and built images of these sandboxes that are not in_use (tags).

    A container that runs has a process that renews its lease, or ends by itself when the lease is over. One that was
    never started may be about to be: it is let be for its first minutes. now: Unix seconds.
    """
    stopped = [
        box
        for box in find_boxes(client)
        if box.state in _ENDED or (box.state == "created" and now - box.created_at > _START_S)
    ]
    for box in stopped:
        remove(client, box.box_id)
    n_images = image_bytes = 0
    for name in sorted({tag for sandbox in sandboxes for tag in repositories(sandbox)}):
        for image in client.images(name=name):
            old = [tag for tag in image.get("RepoTags") or [] if tag not in in_use]
            if old and _remove_image(client, old):
                n_images += 1
                image_bytes += int(image.get("Size") or 0)
    return Removed(n_boxes=len(stopped), n_images=n_images, image_bytes=image_bytes)


def _remove_image(client: APIClient, tags: list[str]) -> bool:
    """False if a container still stands on it."""
    from docker.errors import APIError

    try:
        for tag in tags:
            client.remove_image(tag)
    except APIError:
        return False
    return True


def _found(container: dict[str, Any]) -> FoundBox:
    labels = container["Labels"]
    owner = labels.get(OWNER_LABEL, "")
    return FoundBox(
        box_id=container["Id"],
        sandbox=labels[LABEL],
        owner=owner,
        session=session_of(container["Names"][0], owner) if container["Names"] else None,
        state=container["State"],
        created_at=float(container["Created"]),
    )
