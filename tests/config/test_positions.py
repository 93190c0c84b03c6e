"""The scanner against tomllib: every value that tomllib reads has a place, and the text there is that value."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.config.positions import KeyPath, Positions, scan


def spot_of_value(positions: Positions, *path: str | int) -> tuple[int, int]:
    spot = positions.spot(positions.places[path].start)
    return spot.line, spot.column


def spot_of_key(positions: Positions, *path: str | int) -> tuple[int, int]:
    spot = positions.spot(positions.places[path].key)
    return spot.line, spot.column


DOCUMENT = '''\
#:schema ./.agentrt/agents.schema.json
version = 1     # one
server.host = "127.0.0.1"
[models."gpt-4.1"]
  answers_to = [
    "gpt-4*",   # old [names] = here
    'gpt-3.5"',
  ]
limits = { rpm = 5, "t p\\u006d" = 6, deep = { a.b = [[1], []] } }
note = """
two "quotes" and an equals = sign
[not.a.table]""""
when = 1979-05-27 07:32:00
[[server.keys]]
name = 'first'
[[server.keys]]
name = 'second'
[server.keys.more]
x = true
'''


def test_keys_and_values_have_their_line_and_column() -> None:
    positions = scan(DOCUMENT)
    assert spot_of_key(positions, "version") == (2, 1)
    assert spot_of_value(positions, "version") == (2, 11)
    assert spot_of_key(positions, "server", "host") == (3, 8)
    assert spot_of_value(positions, "server", "host") == (3, 15)
    assert spot_of_key(positions, "models", "gpt-4.1") == (4, 9)
    assert spot_of_value(positions, "models", "gpt-4.1", "answers_to", 1) == (7, 5)
    assert spot_of_value(positions, "models", "gpt-4.1", "limits", "t pm") == (9, 35)
    assert spot_of_value(positions, "models", "gpt-4.1", "limits", "deep", "a", "b", 0, 0) == (9, 55)
    assert spot_of_value(positions, "models", "gpt-4.1", "when") == (13, 8)
    assert spot_of_key(positions, "server", "keys", 1, "name") == (17, 1)
    assert spot_of_value(positions, "server", "keys", 1, "more", "x") == (19, 5)


def test_the_nearest_place_of_a_missing_key_is_its_table() -> None:
    positions = scan("[agents.helper]\nname = 'x'\n")
    path, place = positions.nearest(("agents", "helper", "model"))
    assert path == ("agents", "helper")
    assert positions.spot(place.start).line == 1


def test_a_broken_document_has_the_places_that_stand_before_the_break() -> None:
    positions = scan("a = 1\nb = 'x'\na = 2\nc ] 3\nd = 4\n")
    assert spot_of_value(positions, "b") == (2, 5)
    assert ("d",) not in positions.places
    assert positions.repeated == (("a",),)


def leaves(value: object, path: KeyPath = ()) -> dict[KeyPath, object]:
    match value:
        case dict():
            found: dict[KeyPath, object] = {path: value} if path else {}
            for key, item in value.items():
                found |= leaves(item, (*path, key))
            return found
        case list():
            found = {path: value}
            for index, item in enumerate(value):
                found |= leaves(item, (*path, index))
            return found
        case _:
            return {path: value}


# Documents are built as text, so that every way to write the same value is met.

blanks = st.sampled_from(["", " ", "\t", "  "])
comments = st.sampled_from(["", "", " # plain", " # odd = \"x\" [y] { '''", "#"])
fillers = st.lists(st.sampled_from([" ", "\t", "\n", "# note ] }\n", "#\n"]), max_size=3).map("".join)
bare_keys = st.from_regex(r"[A-Za-z0-9_-]{1,3}", fullmatch=True)
inner_text = st.text(st.sampled_from("abé€\u2028 =#[]{}.,:\t"), max_size=6)
basic_text = st.lists(st.one_of(inner_text, st.sampled_from(["\\n", '\\"', "\\\\", "\\u00e9", "'"])), max_size=4).map(
    "".join
)
basic_strings = basic_text.map(lambda text: f'"{text}"')
literal_strings = st.lists(st.one_of(inner_text, st.sampled_from(['"', "\\"])), max_size=4).map(
    lambda parts: f"'{''.join(parts)}'"
)
keys = st.one_of(bare_keys, bare_keys, basic_strings, literal_strings)


def long_string(parts: list[str], quote: str, closing: int) -> str:
    return f"{quote * 3}{''.join(parts)}{quote * (3 + closing)}"


long_basic = st.builds(
    long_string,
    st.lists(st.one_of(basic_text, st.sampled_from(["\n", '"x', '""x', "\\\n  ", "'''"])), max_size=5),
    st.just('"'),
    st.integers(0, 2),
)
long_literal = st.builds(
    long_string,
    st.lists(st.one_of(inner_text, st.sampled_from(["\n", "'x", "''x", "\\", '"""'])), max_size=5),
    st.just("'"),
    st.integers(0, 2),
)
scalars = st.one_of(
    st.sampled_from(["0", "-17", "1_000", "0xff", "3.5e2", "inf", "true", "false"]),
    st.dates(min_value=date(1000, 1, 1)).map(str),
    st.times().map(str),
    st.datetimes(min_value=datetime(1000, 1, 1)).map(str),
)
simple_values = st.one_of(scalars, basic_strings, literal_strings, long_basic, long_literal)


def dotted(parts: list[str], blank: str) -> str:
    return f"{blank}.{blank}".join(parts)


key_texts = st.builds(dotted, st.lists(keys, min_size=1, max_size=3), blanks)


def pair(key: str, value: str, before: str, after: str) -> str:
    return f"{key}{before}={after}{value}"


def array(items: list[str], filler: str, trailing: bool) -> str:
    return f"[{filler}" + f"{filler},{filler}".join(items) + ("," if trailing and items else "") + f"{filler}]"


def inline_table(items: list[str], blank: str) -> str:
    return f"{{{blank}" + f"{blank},{blank}".join(items) + f"{blank}}}"


values = st.recursive(
    simple_values,
    lambda inner: st.one_of(
        st.builds(array, st.lists(inner, max_size=4), fillers, st.booleans()),
        st.builds(inline_table, st.lists(st.builds(pair, key_texts, inner, blanks, blanks), max_size=3), blanks),
    ),
    max_leaves=6,
)
pair_lines = st.builds(
    lambda indent, text, comment: f"{indent}{text}{comment}",
    blanks,
    st.builds(pair, key_texts, values, blanks, blanks),
    comments,
)
header_lines = st.builds(
    lambda indent, name, is_array, blank, comment: (
        f"{indent}{'[[' if is_array else '['}{blank}{name}{blank}{']]' if is_array else ']'}{comment}"
    ),
    blanks,
    key_texts,
    st.booleans(),
    blanks,
    comments,
)
documents = st.lists(st.one_of(pair_lines, pair_lines, header_lines, comments), max_size=10)


def accepted_part(lines: list[str]) -> tuple[str, dict[str, Any]]:
    """The document made of those lines that tomllib still accepts after the ones before (no key twice)."""
    kept: list[str] = []
    tree: dict[str, Any] = {}
    for line in lines:
        try:
            tree = tomllib.loads("\n".join([*kept, line]))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(line)
    return "\n".join(kept), tree


@settings(max_examples=120, deadline=None)
@given(documents)
def test_every_value_that_tomllib_reads_stands_where_the_scanner_says(lines: list[str]) -> None:
    text, tree = accepted_part(lines)
    positions = scan(text)
    found = leaves(tree)
    assert set(found) == set(positions.places)
    assert positions.repeated == ()
    for path, value in found.items():
        place = positions.places[path]
        written = text[place.start : place.end]
        if not isinstance(value, dict | list):
            assert tomllib.loads(f"value = {written}")["value"] == value or value != value
        if isinstance(path[-1], str):
            assert begins_with_key(text[place.key :], path[-1])


def begins_with_key(text: str, expected: str) -> bool:
    line = text.partition("\n")[0]
    for length in range(1, len(line) + 1):
        if line[length : length + 1].isalnum() or line[length : length + 1] in ("_", "-"):
            continue  # the key goes on
        try:
            if tomllib.loads(f"{line[:length]} = 0") == {expected: 0}:
                return True
        except tomllib.TOMLDecodeError:
            continue
    return False


@settings(max_examples=120, deadline=None)
@given(st.text(st.sampled_from("ab.=[]{}\"'#\\,\n 1"), max_size=30))
def test_the_scanner_survives_any_text(text: str) -> None:
    positions = scan(text)
    for place in positions.places.values():
        assert 0 <= place.key <= len(text)
        assert place.start <= place.end <= len(text)


def test_times_are_values_as_well() -> None:
    text = "t = 07:32:00 # breakfast\n"
    place = scan(text).places[("t",)]
    assert tomllib.loads(f"v = {text[place.start : place.end]}")["v"] == time(7, 32)
