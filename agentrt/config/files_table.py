"""[files] as it is written, a table of `document.py`; and what it means."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from agentrt.config.fields import Size, Table, Text
from agentrt.config.report import Report
from agentrt.config.schema import FilesSpec, S3Spec
from agentrt.config.source import Source
from agentrt.secret import Secret, redact

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


class S3Table(Table):
    """A bucket of S3, or of a server that speaks its protocol."""

    bucket: Annotated[Text, Field(description="The bucket. It must be there.", examples=["agentrt-files"])]
    prefix: Annotated[str, Field(description="What all names in it begin with.", examples=["production"])] = ""
    region: Annotated[
        Text | None, Field(description="AWS's region. Default: `AWS_REGION`, or us-east-1.", examples=["eu-central-1"])
    ] = None
    endpoint: Annotated[
        Text | None,
        Field(
            description="The server's address, if it is not AWS; buckets are asked for in the path.",
            examples=["http://minio:9000"],
        ),
    ] = None
    access_key_id: Annotated[
        Text | None,
        Field(
            description="With `secret_access_key`. Default: what AWS's own tools take, its variables or the role of "
            "the machine or container.",
            examples=["${S3_ACCESS_KEY_ID}"],
        ),
    ] = None
    secret_access_key: Annotated[
        Text | None, Field(description="From a variable.", examples=["${S3_SECRET_ACCESS_KEY}"])
    ] = None
    session_token: Annotated[
        Text | None, Field(description="Of temporary credentials, from a variable.", examples=["${S3_SESSION_TOKEN}"])
    ] = None


class FilesTable(Table):
    """Files: where their bytes are kept, and how large they may be."""

    max_size: Annotated[
        Size,
        Field(
            description="The largest file that `POST /v1/files` takes.",
            examples=["512MB"],
            json_schema_extra={"default": "512MB"},
        ),
    ] = 512 * 1024 * 1024
    max_upload_size: Annotated[
        Size,
        Field(
            description="The largest file that `/v1/uploads` puts together of parts.",
            examples=["8GB"],
            json_schema_extra={"default": "8GB"},
        ),
    ] = 8 * 1024 * 1024 * 1024
    s3: Annotated[
        S3Table | None,
        Field(description="A bucket for the bytes of files; it needs `agentrt[s3]`. Default: the folder `data_dir`."),
    ] = None


def files_spec(table: FilesTable, source: Source, report: Report) -> FilesSpec:
    """What the table means. source: the file that has it."""
    s3 = table.s3
    if s3 is not None:
        _check(s3, source, report)
    return FilesSpec(
        max_bytes=table.max_size,
        max_upload_bytes=table.max_upload_size,
        s3=None
        if s3 is None
        else S3Spec(
            bucket=s3.bucket,
            prefix=s3.prefix.strip("/"),
            region=s3.region,
            endpoint=s3.endpoint,
            access_key_id=s3.access_key_id,
            secret_access_key=_secret(s3.secret_access_key),
            session_token=_secret(s3.session_token),
        ),
    )


def _check(s3: S3Table, source: Source, report: Report) -> None:
    path = ("files", "s3")
    if not _BUCKET.fullmatch(s3.bucket):
        fix = "its name alone: 3 to 63 letters, digits, dots, - and _; folders in it go into `prefix`"
        report.problem(source, (*path, "bucket"), f'"{s3.bucket}" is not the name of a bucket', fix=fix)
    if s3.endpoint is not None and not _is_address(s3.endpoint):
        fix = 'scheme and host, such as "http://minio:9000"'
        report.problem(source, (*path, "endpoint"), f'"{redact(s3.endpoint)}" is not the address of a server', fix=fix)
    if (s3.access_key_id is None) != (s3.secret_access_key is None):
        missing = "access_key_id" if s3.access_key_id is None else "secret_access_key"
        fix = f"write {missing} too, or neither, so that AWS's variables or the machine's role count"
        report.problem(source, path, f"half of the credentials: {missing} is missing", fix=fix)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.username
    except ValueError:
        return False


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)
