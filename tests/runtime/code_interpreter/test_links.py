"""Links to files in an answer, and the names that files stand under."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.runtime.code_interpreter.links import LINK, find_links
from agentrt.runtime.code_interpreter.shelf import free_path
from agentrt.sandbox.paths import is_safe_path

_names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(is_safe_path)


@given(
    st.lists(st.tuples(_names, st.booleans()), max_size=5),
    st.text(st.sampled_from(" .,)(]\n日𝒳"), max_size=8),
)
def test_a_link_is_what_stands_at_its_place(files: list[tuple[str, bool]], between: str) -> None:
    known = {path: f"file-{i}" for i, (path, _) in enumerate(dict(files).items())}
    text = between
    for path, is_quoted in files:
        text += f"[x]({LINK}{quote(path) if is_quoted else path}){between}"
    found, _ = find_links(text, known)

    places = [(link.start, link.end) for link in found]
    assert places == sorted(places)
    assert all(text[link.start : link.end] == link.text for link in found)
    assert all(link.file_id in known.values() for link in found)


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("[a](sandbox:/mnt/data/a.csv)", ["a.csv"]),
        ("sandbox:/mnt/data/a.csv.", ["a.csv"]),
        ("sandbox:/mnt/data/a.csv.gz", ["a.csv.gz"]),
        ("sandbox:/mnt/data/a.csv2", []),
        ("sandbox:/mnt/data/a.csv/b", []),
        ("sandbox:/mnt/data/a-b.csv and sandbox:/mnt/data/a.csv", ["a.csv"]),
        ("sandbox:/mnt/data/out/my file.csv", ["out/my file.csv"]),
        ("sandbox:/mnt/data/out/my%20file.csv", ["out/my file.csv"]),
        ("/mnt/data/a.csv and sandbox:/mnt/data/", []),
        ("sandbox:/mnt/data/../a.csv", []),
    ],
)
def test_the_longest_name_that_ends_where_the_link_does_is_meant(text: str, links: list[str]) -> None:
    files = {path: path for path in ("a.csv", "a.csv.gz", "out/my file.csv")}

    found, has_unknown = find_links(text, files)
    assert [link.file_id for link in found] == links
    assert has_unknown is (text.count(LINK) > len(links))


@given(st.lists(st.text(max_size=300), min_size=1, max_size=12))
def test_every_file_gets_a_safe_place_of_its_own(names: list[str]) -> None:
    taken: set[str] = set()
    for name in names:
        path = free_path(name, taken)
        assert is_safe_path(path)
        assert path not in taken
        taken.add(path)


@given(st.from_regex(r"[a-z][a-z0-9 ]{0,20}[a-z0-9]\.[a-z]{1,4}", fullmatch=True))
def test_an_ordinary_name_is_kept(name: str) -> None:
    assert free_path(name, set()) == name
    assert free_path(name, {name}) == name.replace(".", "-2.")
