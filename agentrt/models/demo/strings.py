"""Candidates for a string parameter, by what it wants; the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator

import msgspec

from agentrt.models.demo.arithmetic import find_expression
from agentrt.models.demo.fields import Field, Hint
from agentrt.models.demo.lexicon import (
    CURRENCIES,
    GENERIC_WORDS,
    LANGUAGES,
    NO_PLACES,
    PLACE_PREFIXES,
    STOP_WORDS,
    UNITS,
    ZONES,
)
from agentrt.models.demo.mentions import Kind, Mention, iso_date
from agentrt.models.demo.sentence import Sentence, Token
from agentrt.models.demo.words import stem

_FROM = frozenset({"from", "between", "leaving", "since", "departing"})
_TO = frozenset({"to", "into", "towards", "until", "till", "reaching"})
_UNTIL = frozenset({"until", "till", "by"})
_INTO = frozenset({"to", "into", "in", "as"})
_SIGNS = frozenset({"$", "€", "£", "¥"})
_PLACE = frozenset({"in", "at", "for", "near", "around", "like", "visit", "about", "of", "over", "from", "to"})
_INSIDE = frozenset({"in", "at", "near", "around"})
_PERSON = frozenset(
    {"to", "for", "with", "by", "named", "called", "invite", "tell", "from", "is", "email", "call", "i'm", "am"}
)
_ADDRESSED = frozenset(
    map(stem, ("to", "from", "cc", "bcc", "recipient", "sender", "attendee", "participant", "contact"))
)
_NAMED = re.compile(r"\b(?:named|called|name is|name's)\s+([^\W\d_]\w{0,40})", re.IGNORECASE)


class Candidate(msgspec.Struct, frozen=True):
    """A value for a parameter and the places in the text that it uses up."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    mention: Mention | None = None


def string_candidates(field: Field, sentence: Sentence, *, may_be_loose: bool) -> Iterator[Candidate]:
    """What in the sentence could be this parameter. may_be_loose: also what merely is left over."""
    yield from _READERS[field.hint](field, sentence)
    if not may_be_loose:
        return
    yield from map(_of, sentence.free("quoted"))
    if field.hint in (Hint.NONE, Hint.TEXT, Hint.QUERY, Hint.PERSON, Hint.ID):
        yield from _loose(field, sentence)


def spelled_for(field: Field, text: str) -> str:
    """The text as the parameter wants it: a large city as its time zone, a written date in ISO where asked for."""
    if field.hint is Hint.ZONE:
        return ZONES.get(text.split(",")[0].casefold().replace(" ", "_"), text)
    if field.hint is Hint.WHEN and (field.schema.get("format") == "date" or "YYYY-MM-DD" in field.description):
        return iso_date(text) or text
    return text


def _loose(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    if field.hint in (Hint.QUERY, Hint.TEXT):
        topic = sentence.topic()
        if topic:
            yield Candidate(topic)
    yield from map(_of, sorted(sentence.free("name", "id", "file", "url"), key=lambda mention: mention.is_first))
    if field.hint is Hint.NONE:
        topic = sentence.topic()
        if topic:
            yield Candidate(topic)


def _expression(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from map(_of, (mention for mention in sentence.free("quoted") if any(map(str.isdecimal, mention.text))))
    found = find_expression(sentence.text)
    if found is not None:
        yield Candidate(found.code)


def _email(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from _directed(sentence.free("email"), field)


def _url(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from _directed(sentence.free("url"), field)


def _file(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from _directed(sentence.free("file", "url"), field)
    yield from map(_of, sentence.free("quoted"))


def _zone(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from _directed(sentence.free("zone"), field)
    for candidate in _place(field, sentence):
        yield msgspec.structs.replace(candidate, text=spelled_for(field, candidate.text))


def _currency(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    for text, start, end in _sided(field, sentence, CURRENCIES):
        code = CURRENCIES[text]
        for value in (code, code.lower(), text):
            yield Candidate(value, ((start, end),))


def _unit(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    for text, start, end in _sided(field, sentence, UNITS):
        yield Candidate(sentence.text[start:end] or text, ((start, end),))


def _language(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    for text, start, end in _sided(field, sentence, LANGUAGES):
        yield Candidate(text.capitalize(), ((start, end),))
        yield Candidate(text, ((start, end),))


def _place(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    names = sentence.free("name")
    if field.direction:
        yield from _directed(names, field, exact=True)
    others = {"from": _TO, "to": _FROM}[field.direction] if field.is_paired and field.direction else ()
    names = [name for name in names if name.before not in others]
    inside = [name for name in names if not name.is_first]
    yield from map(_of, sorted(inside, key=lambda name: name.before not in _PLACE))
    yield from _lower_case_places(field, sentence)
    yield from map(_of, (name for name in names if name.is_first))


def _lower_case_places(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    leads = _TO if field.direction == "to" else _FROM if field.direction == "from" else _PLACE
    for at, token in enumerate(sentence.tokens[:-1]):
        following = sentence.tokens[at + 1]
        if token.word not in leads or not _may_be_place(following, sentence):
            continue
        end = following.end
        if following.word in PLACE_PREFIXES and at + 2 < len(sentence.tokens):
            end = sentence.tokens[at + 2].end
        yield Candidate(sentence.text[following.start : end], ((following.start, end),))


def _may_be_place(token: Token, sentence: Sentence) -> bool:
    word = token.word
    if (
        word in STOP_WORDS
        or word in GENERIC_WORDS
        or word in NO_PLACES
        or token.stem in sentence.about
        or word[0].isdecimal()
    ):
        return False
    overlapping = any(mention.start < token.end and token.start < mention.end for mention in sentence.mentions)
    return not overlapping and sentence.is_free(token.start, token.end)


def _person(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    if not field.stems.isdisjoint(_ADDRESSED):
        yield from _directed(sentence.free("email"), field)
    names = sorted(sentence.free("name"), key=lambda name: (name.before not in _PERSON, name.before in _INSIDE))
    yield from _directed(names, field)
    for match in _NAMED.finditer(sentence.text):
        if sentence.is_free(*match.span(1)):
            yield Candidate(match.group(1), (match.span(1),))


def _id(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from _directed(sentence.free("id"), field)
    yield from map(_of, (number for number in sentence.free("number") if not number.unit or number.unit in STOP_WORDS))
    yield from map(_of, sentence.free("quoted"))


def _when(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    is_time = not field.stems.isdisjoint(("time", "hour", "clock")) and field.stems.isdisjoint(("date", "day"))
    is_date = not field.stems.isdisjoint(("date", "day", "birthday")) and "time" not in field.stems
    order: tuple[Kind, ...] = ("datetime", "date", "day", "time")
    if is_time:
        order = ("time", "datetime", "day", "date")
    found = sorted(sentence.free(*order), key=lambda mention: order.index(mention.kind))
    for candidate in _directed(found, field):
        mention = candidate.mention
        if mention and mention.kind in ("date", "day") and not is_date:
            yield from _with_time(mention, sentence)
        yield msgspec.structs.replace(candidate, text=spelled_for(field, candidate.text))


def _with_time(day: Mention, sentence: Sentence) -> Iterator[Candidate]:
    """Tomorrow at 5pm."""
    for time in sentence.free("time"):
        if sentence.text[day.end : time.start].strip(" ,") in ("", "at"):
            yield Candidate(sentence.text[day.start : time.end], ((day.start, time.end),))


def _query(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from map(_of, sentence.free("quoted"))


def _text(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    yield from map(_of, sentence.free("quoted"))
    for place in (sentence.titled(), sentence.saying()):
        text = sentence.text[place[0] : place[1]].strip(" .,;:!?\"'“”") if place else ""
        if place and text:
            yield Candidate(text, (place,))


def _none(field: Field, sentence: Sentence) -> Iterator[Candidate]:
    return iter(())


_READERS: dict[Hint, Callable[[Field, Sentence], Iterator[Candidate]]] = {
    Hint.EXPRESSION: _expression,
    Hint.EMAIL: _email,
    Hint.URL: _url,
    Hint.ZONE: _zone,
    Hint.CURRENCY: _currency,
    Hint.UNIT: _unit,
    Hint.LANGUAGE: _language,
    Hint.FILE: _file,
    Hint.PLACE: _place,
    Hint.ID: _id,
    Hint.WHEN: _when,
    Hint.QUERY: _query,
    Hint.TEXT: _text,
    Hint.PERSON: _person,
    Hint.NONE: _none,
}


def _of(mention: Mention) -> Candidate:
    return Candidate(mention.text, ((mention.start, mention.end),), mention)


def _directed(mentions: Iterable[Mention], field: Field, *, exact: bool = False) -> Iterator[Candidate]:
    """The mentions that "from" or "to" leads to first, never those of the other end; exact: only the first."""
    leads = {"from": _FROM, "to": _TO, "": frozenset[str]()}[field.direction]
    others = {"from": _TO if field.is_paired else _UNTIL, "to": _FROM, "": frozenset[str]()}[field.direction]
    ordered = list(mentions)
    yield from (_of(mention) for mention in ordered if mention.before in leads)
    if not exact:
        yield from (_of(mention) for mention in ordered if mention.before not in leads | others)


def _sided(field: Field, sentence: Sentence, known: Container[str]) -> Iterator[tuple[str, int, int]]:
    """Known words (currencies, units, languages): for a source those beside a number, for a target those after "to".

    A word of one letter counts only beside a number or after "to" ("5 cm to m").
    """
    beside = set[tuple[str, int, int]]()
    for number in sentence.mentions:
        if number.unit in _SIGNS and number.unit in known:
            beside.add((number.unit, number.start, number.start))  # no width: the number itself stays free
        elif number.unit in known and number.unit != "in":
            start = number.end + (sentence.text[number.end] == " ")
            beside.add((number.unit, start, start + len(number.unit)))
    apart = {
        (token.word, token.start, token.end)
        for token in sentence.tokens
        if token.word in known and token.word != "in"
        if len(token.word) > 1 or sentence.previous_word(token.start) in _INTO
    } - beside
    free = sorted((hit for hit in beside | apart if sentence.is_free(hit[1], hit[2])), key=lambda hit: hit[1])
    targets = [hit for hit in free if sentence.previous_word(hit[1]) in _INTO and hit not in beside]
    if field.direction == "to":
        yield from targets or [hit for hit in free if hit not in beside]
        return
    sources = [hit for hit in free if hit not in targets]
    yield from sorted(sources, key=lambda hit: hit not in beside)
    if not field.direction:
        yield from targets
