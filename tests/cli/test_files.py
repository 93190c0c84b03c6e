"""What doctor says of the place where files are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.s3 import Bucket


def of_files(result: Result) -> tuple[str, str, str]:
    (found,) = (check for check in json.loads(result.stdout)["checks"] if check["name"] == "files")
    return found["state"], found["text"], found["fix"]


def test_doctor_says_where_files_are_and_whether_the_bucket_answers(
    call: Callable[..., Result], project: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doctor(more: str = "") -> tuple[str, str, str]:
        (project / "agents.toml").write_text(f'version = 1\n[models.demo]\nprovider = "demo"\n{more}')
        return of_files(call("doctor", "--json"))

    assert doctor() == ("ok", f"in {project / '.agentrt' / 'blobs'}", "")
    shown = f"s3://{bucket.name}/files at {bucket.url}"
    assert doctor(bucket.toml()) == ("ok", shown, "")
    assert bucket.names() == []
    state, text, fix = doctor(bucket.toml().replace(bucket.name, "no-such-bucket"))
    assert (state, text.endswith("There is no bucket no-such-bucket.")) == ("warn", True)
    assert "[files.s3]" in fix
    state, text, _ = doctor(bucket.toml().replace(bucket.url, "http://127.0.0.1:9"))
    assert (state, "http://127.0.0.1:9/" in text, "never-shown" in text) == ("warn", True, False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert doctor(bucket.toml())[::2] == ("fail", "pip install 'agentrt[s3]'")
    assert not (project / ".agentrt").exists(), "looking changes nothing"
