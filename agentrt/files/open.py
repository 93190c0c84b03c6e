"""open_blobs: from what agents.toml says to a place for bytes."""

from __future__ import annotations

from pathlib import Path

from agentrt.config.schema import FilesSpec
from agentrt.errors import ConfigError
from agentrt.files.blobs import Blobs, DiskBlobs


def open_blobs(spec: FilesSpec, *, data_dir: Path) -> Blobs:
    """Where the bytes of files are. Nothing is asked of it yet.

    Raises ConfigError when the extra for S3 is not installed, or does not take the settings.
    """
    if spec.s3 is None:
        return DiskBlobs(data_dir / "blobs")
    try:
        from agentrt.files.s3 import S3Blobs

        return S3Blobs(spec.s3, spool=data_dir / "spool")
    except ImportError as error:
        fix = "pip install 'agentrt[s3]', or leave [files.s3] out to keep files in data_dir"
        raise ConfigError(
            [f"[files.s3] needs a package that is not installed\n  why: {error}\n  fix: {fix}"]
        ) from error
    except ValueError as error:
        raise ConfigError([f"[files.s3] names no bucket that can be used\n  why: {error}"]) from error
