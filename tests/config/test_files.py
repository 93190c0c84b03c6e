"""[files] in agents.toml: where bytes are kept, how large files may be, and that nobody sees the bucket's key."""

from __future__ import annotations

import tomllib

import jsonschema
import pytest

from agentrt.config.editor_schema import config_schema
from agentrt.config.schema import FilesSpec, S3Spec
from agentrt.secret import Secret
from tests.config.conftest import ProjectFolder

ALL = """\
[files]
max_size = "64MB"
max_upload_size = "1GB"

[files.s3]
bucket = "agentrt-files"
prefix = "/production/"
region = "eu-central-1"
endpoint = "https://minio.internal:9000"
access_key_id = "AGENTRT"
secret_access_key = "${S3_SECRET}"
session_token = "${S3_TOKEN}"
"""


def test_files_are_kept_in_data_dir_unless_a_bucket_is_named(project: ProjectFolder) -> None:
    assert project.load("").files == FilesSpec(max_bytes=512 * 1024**2, max_upload_bytes=8 * 1024**3)
    config = project.load(ALL, S3_SECRET="s3cret-of-the-bucket", S3_TOKEN="t0ken-of-the-bucket")
    assert config.files == FilesSpec(
        max_bytes=64 * 1024**2,
        max_upload_bytes=1024**3,
        s3=S3Spec(
            bucket="agentrt-files",
            prefix="production",
            region="eu-central-1",
            endpoint="https://minio.internal:9000",
            access_key_id="AGENTRT",
            secret_access_key=Secret("s3cret-of-the-bucket"),
            session_token=Secret("t0ken-of-the-bucket"),
        ),
    )
    assert "of-the-bucket" not in repr(config)
    assert config.warnings == ()
    assert jsonschema.Draft7Validator(config_schema()).is_valid(tomllib.loads(ALL))


def test_a_bucket_alone_is_enough(project: ProjectFolder) -> None:
    assert project.load('[files]\ns3 = { bucket = "agentrt-files" }\n').files.s3 == S3Spec(bucket="agentrt-files")


def test_a_key_that_stands_in_the_file_is_warned_of(project: ProjectFolder) -> None:
    config = project.load(ALL.replace("${S3_SECRET}", "plain"), S3_TOKEN="t")
    (warning,) = config.warnings
    assert "files.s3.secret_access_key holds a key" in warning
    assert "plain" not in warning


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ('bucket = "s3://b/c"', '"s3://b/c" is not the name of a bucket', "folders in it go into `prefix`"),
        ('bucket = "bucket"\nendpoint = "minio:9000"', "is not the address of a server", "http://minio:9000"),
        ('bucket = "bucket"\nendpoint = "http://a:b@minio"', "is not the address of a server", "scheme and host"),
        ('bucket = "bucket"\naccess_key_id = "a"', "secret_access_key is missing", "or neither"),
        ('bucket = "bucket"\nsecret_access_key = "${A:-a}"', "access_key_id is missing", "or neither"),
        ('bucket = ""', "this text is empty", "agentrt-files"),
        ('bukket = "b"', "bukket", "bucket"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(project: ProjectFolder, line: str, what: str, fix: str) -> None:
    text = "\n".join(project.problems(f"[files.s3]\n{line}\n"))
    assert what in text
    assert fix in text


def test_files_can_stand_in_an_included_file_but_not_twice(project: ProjectFolder) -> None:
    project.write("more.toml", '[files]\ns3 = { bucket = "agentrt-files" }\n')
    config = project.load('include = ["more.toml"]\n[files]\nmax_size = "1MB"\n')
    assert (config.files.max_bytes, config.files.s3) == (1024**2, S3Spec(bucket="agentrt-files"))
    project.write("more.toml", "[files]\nmax_size = 7\n")
    assert "as well" in project.problem('include = ["more.toml"]\n[files]\nmax_size = "1MB"\n')
