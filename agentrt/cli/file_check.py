"""What `agentrt doctor` finds of the place where the bytes of files are."""

from __future__ import annotations

import asyncio
from typing import Final

from agentrt.cli.health_check import Check
from agentrt.config.schema import Config, S3Spec
from agentrt.errors import UnavailableError

_LIMIT_S: Final = 5.0


def check_files(config: Config) -> Check:
    """The folder, or whether the bucket answers. Nothing is written to it."""
    s3 = config.files.s3
    if s3 is None:
        return Check("files", "ok", f"in {config.runtime.data_dir / 'blobs'}")
    shown = f"s3://{s3.bucket}/{s3.prefix}".rstrip("/") + (f" at {s3.endpoint}" if s3.endpoint else "")
    try:
        asyncio.run(_ask(s3))
    except ImportError:
        return Check("files", "fail", f"{shown}: the driver is missing", "pip install 'agentrt[s3]'")
    except TimeoutError:
        return Check("files", "warn", f"{shown} does not answer", "look at the network, or at endpoint in [files.s3]")
    except (UnavailableError, ValueError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        fix = "look at bucket, endpoint and credentials in [files.s3]"
        return Check("files", "warn", f"{shown}: {error if 'no bucket' in str(error) else reason}", fix)
    return Check("files", "ok", shown)


async def _ask(s3: S3Spec) -> None:
    from agentrt.files.s3 import check_bucket

    async with asyncio.timeout(_LIMIT_S):
        await check_bucket(s3)
