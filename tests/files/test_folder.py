"""Which files of a folder are worth indexing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentrt.files.folder import is_matched, view_folder


@pytest.mark.parametrize(
    ("name", "glob", "fits"),
    [
        ("a.md", "*.md", True),
        ("deep/er/a.md", "*.md", True),
        ("a.mdx", "*.md", False),
        ("drafts/a.md", "drafts", True),
        ("old/drafts/a.md", "drafts/", True),
        ("guides/x/a.md", "guides/**", True),
        ("my/guides/a.md", "guides/**", False),
        ("a/old/b.txt", "**/old/*.txt", True),
        ("old/b.txt", "**/old/*.txt", True),
        ("old/c/b.txt", "**/old/*.txt", False),
        ("a.md", "/a.md", True),
        ("b/a.md", "/a.md", False),
        ("a+b (1).md", "a+b (?).md", True),
    ],
)
def test_globs_are_those_of_gitignore(name: str, glob: str, fits: bool) -> None:
    assert is_matched(name, [glob]) is fits


def test_what_nobody_means_is_left_out(tmp_path: Path) -> None:
    for name in (
        *("a.md", "sub/b.txt", "ignored/c.md"),
        *(".hidden", ".git/config", "x.tmp", "y.part", "~$z.docx", "#d#", "e~", "Thumbs.db", "node_modules/m.js"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "inside.md").symlink_to(tmp_path / "a.md")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    view = view_folder(tmp_path, ignore=["ignored/"])
    assert [file.name for file in view.files] == ["a.md", "inside.md", "sub/b.txt"]
    assert [left.name for left in view.left_out] == ["gone.md"]
    assert not view.is_cut


def test_links_do_not_climb_out(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "out.txt").symlink_to("../secret.txt")
    (tmp_path / "docs" / "all").symlink_to("..")
    view = view_folder(tmp_path / "docs")
    assert view.files == []
    assert [left.why for left in view.left_out] == ["it is a link that leads out of the folder"]


def test_there_is_an_end_to_how_many_are_looked_at(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("x")
    view = view_folder(tmp_path, limit=3)
    assert (len(view.files), view.is_cut) == (3, True)


def test_names_that_are_no_text_are_told_of(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("x")
    view = view_folder(tmp_path)
    assert [(left.name, left.why) for left in view.left_out] == [("caf\\udce9.md", "its name is not UTF-8")]
