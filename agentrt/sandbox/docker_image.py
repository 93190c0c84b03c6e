"""The image of a spec: named by the user, or built here from a folder and with packages added. Blocks: use a thread.

A built image is tagged with a hash of what it is made of, so that a changed Dockerfile is a new image and an unchanged
one is never built twice.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError

if TYPE_CHECKING:
    from docker import APIClient

REPOSITORY: Final = "agentrt"

# A line of what the engine does ("Step 3/7 : RUN …"), for whoever waits.
Progress = Callable[[str], object]

_BUILD_S: Final = 3600
_LINE_CHARS: Final = 500
# Of the engine's own housekeeping between the steps.
_CHATTER: Final = ("--->", "Removing intermediate container")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\[\],<>=!~ -]*")


def repositories(sandbox: str) -> tuple[str, str]:
    """What images that are built for a sandbox are called: as its folder says, and with packages added."""
    return f"{REPOSITORY}/{_slug(sandbox)}", f"{REPOSITORY}/{_slug(sandbox)}-packages"


def image_of(spec: SandboxSpec) -> str:
    """The tag that the spec's sandboxes start from, whether it is there or not."""
    if not spec.packages:
        return base_of(spec)
    words = "\n".join([base_of(spec), *spec.packages])
    return f"{repositories(spec.name)[1]}:{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def base_of(spec: SandboxSpec) -> str:
    """The tag that its packages are added to; the same as `image_of` where there are none."""
    if spec.image is not None:
        return spec.image
    digest = hashlib.sha256()
    for name, data in sorted(_files(_folder(spec)).items()):
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
    return f"{repositories(spec.name)[0]}:{digest.hexdigest()[:12]}"


def ensure_image(client: APIClient, spec: SandboxSpec, progress: Progress) -> str:
    """The id of the spec's image, built or pulled if it is missing. Raises SandboxError with the build's last words."""
    image = image_of(spec)
    found = image_id(client, image)
    if found:
        return found
    base = base_of(spec)
    if not image_id(client, base):
        if spec.image is not None:
            _pull(client, base, progress)
        else:
            _build(client, _packed(_files(_folder(spec))), base, progress)
    if base != image:
        _build(client, _packed({"Dockerfile": _derived(base, spec.packages).encode()}), image, progress)
    found = image_id(client, image)
    if not found:
        raise SandboxError(f"The image {image} was not made.")
    return found


def image_id(client: APIClient, image: str) -> str | None:
    from docker.errors import ImageNotFound

    try:
        return str(client.inspect_image(image)["Id"])
    except ImageNotFound:
        return None


def _folder(spec: SandboxSpec) -> Path:
    if spec.build is None or not (spec.build / "Dockerfile").is_file():
        raise SandboxError(f"[sandboxes.{spec.name}] needs `image`, or `build` with the folder of a Dockerfile.")
    return spec.build


def _files(folder: Path) -> dict[str, bytes]:
    """What the image is made of. Not the kernel beside it, which changes with agentrt and is sent along at start."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def _derived(base: str, packages: Iterable[str]) -> str:
    """A Dockerfile. pip runs as root, for the code's user may write nothing; who that is comes with the box."""
    words = []
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise SandboxError(f"'{package}' is not what pip calls a package.")
        words.append(f"'{package}'")
    pip = "pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore"
    return f"FROM {base}\nUSER 0:0\nRUN {pip} {' '.join(words)}\nUSER 65532:65532\n"


def _packed(files: dict[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(data))
    packed.seek(0)
    return packed


def _build(client: APIClient, context: io.BytesIO, tag: str, progress: Progress) -> None:
    lines = client.build(
        fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True, timeout=_BUILD_S
    )
    _follow(lines, tag, progress)


def _pull(client: APIClient, image: str, progress: Progress) -> None:
    from docker.errors import APIError

    try:
        _follow(client.pull(image, stream=True, decode=True), image, progress)
    except APIError as error:
        raise SandboxError(f"The image {image} cannot be pulled: {error.explanation}") from None


def _follow(lines: Generator[dict[str, Any], None, None], image: str, progress: Progress) -> None:
    """Report what the engine does. Raises SandboxError when it fails, with the last lines."""
    said: list[str] = []
    error = ""
    with closing(lines):  # also when progress raises: the engine goes on as long as somebody listens
        for line in lines:  # to the end in any case: the connection is free only then
            text = _said(line)
            if text and not text.startswith(_CHATTER):
                said = [*said[-9:], text]
                progress(text)
            error = error or str(line.get("error") or "")
    if error:
        raise SandboxError(f"The image {image} cannot be made: {error}\n" + "\n".join(said))


def _said(line: dict[str, Any]) -> str:
    """A build's output, or how far a layer is: `1a2b3c4d5e6f: Downloading [==>   ] 2MB/9MB`."""
    status = " ".join(str(line.get(key) or "") for key in ("status", "progress")).strip()
    if line.get("id"):
        status = f"{line['id']}: {status}"
    return _COLOURS.sub("", str(line.get("stream") or status)).strip()[:_LINE_CHARS]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "sandbox"
