"""Blobs in a bucket of S3, or of a server that speaks its protocol. Home of obstore, which comes with `agentrt[s3]`.

Bytes come in over this machine's disk: their hash and their size are known, and the form around them is accepted,
before anything is sent. Multipart uploads that a killed process left are for the bucket's own lifecycle rule.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agentrt.config.schema import S3Spec
from agentrt.errors import UnavailableError
from agentrt.files.blobs import Received
from agentrt.files.spool import Spool, Spooled

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Store

log = logging.getLogger(__name__)

_READ_BYTES = 4 * 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024  # S3 takes 10,000 of them: 80 GB
_PARTS_AT_ONCE = 4
_PROBE = "agentrt-check"  # no blob's name: those begin with a hash


class S3Blobs:
    """Blobs in a bucket. spool: a folder of this machine for what is coming in, and for `as_path`. retries: of requests
    that the server does not answer, or with a 5xx.

    Raises ImportError when the extra is not installed, ValueError for settings that fit no bucket.
    """

    def __init__(self, spec: S3Spec, *, spool: Path, retries: int = 4) -> None:
        self._spec = spec
        self._bucket = _open_bucket(spec, retries=retries)
        self._spool = Spool(spool)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[Received, None]:
        """See Blobs.receive."""
        async with self._spool.fill(chunks) as spooled:
            yield Received(spooled, self._keep)

    async def has(self, name: str) -> bool:
        """See Blobs.has."""
        try:
            await self._size(name)
        except FileNotFoundError:
            return False
        return True

    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs.read."""
        import obstore

        size = await self._size(name)
        stop = size if stop is None else min(stop, size)
        # Piece by piece, not as one long answer: whoever reads slowly would be cut off by timeouts on the way.
        while start < stop:
            with _explained(self._spec):
                piece = await obstore.get_range_async(
                    self._bucket, name, start=start, end=min(start + _READ_BYTES, stop)
                )
            start += len(piece)
            yield bytes(piece)

    @asynccontextmanager
    async def as_path(self, name: str) -> AsyncGenerator[Path, None]:
        """See Blobs.as_path."""
        async with self._spool.fill(self.read(name)) as spooled:
            yield spooled.path

    async def delete(self, name: str) -> None:
        """See Blobs.delete."""
        import obstore

        try:
            with _explained(self._spec):
                await obstore.delete_async(self._bucket, name)
        except FileNotFoundError:
            return

    async def _keep(self, spooled: Spooled, name: str) -> None:
        import obstore

        try:
            with _explained(self._spec):
                await obstore.put_async(
                    self._bucket, name, spooled.path, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
                )
        except FileNotFoundError as error:
            log.warning("blobs.no_bucket", extra={"bucket": self._spec.bucket})
            raise UnavailableError("The bucket for files is not there. The file was not stored.") from error

    async def _size(self, name: str) -> int:
        """Raises FileNotFoundError."""
        import obstore

        with _explained(self._spec):
            return (await obstore.head_async(self._bucket, name))["size"]


async def check_bucket(spec: S3Spec) -> None:
    """Whether the bucket can be used; nothing is changed by it, and it is tried once.

    Raises UnavailableError with the reason, ImportError and ValueError as S3Blobs does.
    """
    import obstore

    try:
        with _explained(spec):
            await obstore.get_async(_open_bucket(spec, retries=0), _PROBE)
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise UnavailableError(f"There is no bucket {spec.bucket}.") from error


@contextmanager
def _explained(spec: S3Spec) -> Iterator[None]:
    """Turn what the library raises into words for API clients; the log gets the rest. FileNotFoundError stays."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except BaseError as error:
        # Its first line says what was asked and what came back; the credentials are not in it.
        reason = str(error).partition("\n")[0][:500]
        log.warning("blobs.failed", extra={"bucket": spec.bucket, "error": reason})
        is_refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        what = "refuses this server's credentials" if is_refused else "does not answer as it should"
        raise UnavailableError(f"The bucket for files {what}: the server's log has the reason.") from error


def _open_bucket(spec: S3Spec, *, retries: int) -> S3Store:
    from obstore.store import S3Store

    # Unset credentials are left to the library: variables of AWS, roles of machines and containers.
    config: S3Config = {"disable_bulk_delete": True}  # not every server has it, and we delete one by one
    if spec.endpoint is not None:
        config["endpoint"] = spec.endpoint
    if spec.region is not None:
        config["region"] = spec.region
    if spec.access_key_id is not None and spec.secret_access_key is not None:
        config["access_key_id"] = spec.access_key_id
        config["secret_access_key"] = spec.secret_access_key.reveal()
    if spec.session_token is not None:
        config["session_token"] = spec.session_token.reveal()
    client: ClientConfig = {
        "allow_http": spec.endpoint is not None and spec.endpoint.startswith("http://"),
        "connect_timeout": "5s",
        "timeout": "2m",  # of one piece or part
    }
    retry: RetryConfig = {"max_retries": retries, "retry_timeout": timedelta(seconds=60)}
    return S3Store(spec.bucket, prefix=spec.prefix or None, config=config, client_options=client, retry_config=retry)
