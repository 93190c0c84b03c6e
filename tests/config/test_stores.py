"""What [vector_stores.*] means, and what is wrong with one."""

from __future__ import annotations

import pytest

from agentrt.config.schema import VectorStoreSpec, WatchedFolder
from tests.config.conftest import ProjectFolder

AGENT = '[models.demo]\nprovider = "demo"\n[agents.a]\nmodel = "demo"\n'


def test_every_key_of_a_store_means_something(project: ProjectFolder) -> None:
    (project.folder / "docs").mkdir()
    config = project.load("""
        [vector_stores.handbook]
        id = "vs_mine"
        name = "The handbook"
        folders = ["docs"]
        include = ["*.md"]
        ignore = ["drafts"]
        check_every = "5m"
        max_files = 50
        chunk_tokens = 400
        overlap_tokens = 100
        expires_after = "30d"
        attributes = { team = "hr" }
        metadata = { owner = "ann" }
        [vector_stores.empty]
        """)
    assert config.vector_stores["handbook"] == VectorStoreSpec(
        name="handbook",
        id="vs_mine",
        display_name="The handbook",
        folders=(WatchedFolder("docs", project.folder / "docs"),),
        include=("*.md",),
        ignore=("drafts",),
        check_every_s=300,
        max_files=50,
        chunk_tokens=400,
        overlap_tokens=100,
        expires_after_days=30,
        attributes={"team": "hr"},
        metadata={"owner": "ann"},
    )
    assert config.vector_stores["empty"] == VectorStoreSpec(name="empty", id="vs_empty", display_name="empty")
    assert config.warnings == ()


def test_an_agent_names_a_store_by_its_table(project: ProjectFolder) -> None:
    config = project.load(AGENT + 'tools = ["file_search"]\nvector_stores = ["h"]\n[vector_stores.h]\nid = "vs_x"\n')
    assert config.agents["a"].vector_stores == ("vs_x",)


def test_a_folder_that_is_not_there_is_a_warning(project: ProjectFolder) -> None:
    [warning] = project.load('[vector_stores.h]\nfolders = ["nowhere"]\n').warnings
    assert "there is no folder" in warning


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ('[vector_stores.h]\nfolders = "docs"\n', "", 'folders = ["docs"]'),
        ('[vector_stores.h]\nfolders = ["docs", "./docs"]\n', "twice", "take one out"),
        ('[vector_stores.h]\nfolders = ["docs", "docs/a"]\n', "contain one another", "the outer one"),
        ('[vector_stores.h]\nfolders = ["agents.toml"]\n', "is a file", "include"),
        ('[vector_stores.h]\nexpires_after = "12h"\n', "whole days", '"30d"'),
        ("[vector_stores.h]\nchunk_tokens = 200\noverlap_tokens = 150\n", "share 100", "lower it"),
        ("[vector_stores.h]\nattributes = { path = 'x' }\n", "`path` already", "another name"),
        ('[vector_stores.a]\n[vector_stores.b]\nid = "vs_a"\n', 'has the id "vs_a" as well', "its own id"),
        (AGENT + 'tools = ["file_search"]\nvector_stores = ["hand"]\n[vector_stores.hands]\n', '"hand"', "hands"),
        (AGENT + 'vector_stores = ["h"]\n[vector_stores.h]\n', "without the tool", 'tools = ["file_search"]'),
    ],
)
def test_what_is_wrong_with_a_store_is_said(project: ProjectFolder, text: str, what: str, fix: str) -> None:
    problem = project.problem(text)
    assert what in problem
    assert fix in problem
