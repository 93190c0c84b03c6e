"""What the user said about themselves, and about this conversation. Read afresh from the messages of every request."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from agentrt.models.demo.turn import Turn
from agentrt.models.demo.words import content_stems, join_words, shorten

_MAX_LISTED = 12
_END = r"(?=\s*(?:[.!?\n;]|,?\s+and\s+(?:my|i|i'm)\b|,\s*(?:my|i|and|but)\b|,?\s+but\b|$))"
_VALUE = rf"(\S.{{0,79}}?){_END}"
_NAME = re.compile(
    r"\b(?:[Mm]y name(?: is|'s|’s)|[Cc]all me|I am called)\s+([^\W\d_][\w'’-]{0,40}(?:\s[A-ZÀ-Þ][\w'’-]{0,40}){0,2})"
)
_I_AM = re.compile(
    r"(?:^|[.!?,]\s+|\b[Hh](?:i|ello|ey),?\s+)I(?:'m|’m| am)\s+([A-ZÀ-Þ][\w'’-]{1,40})(?=\s*(?:[.!,]|$| and\b))"
)
_MY = re.compile(
    rf"\bmy\s+([a-z][\w'’-]{{0,30}}(?:\s[\w'’-]{{1,30}}){{0,3}}?)\s+(?:is|are|was)\s+(?:called\s+|named\s+)?{_VALUE}",
    re.IGNORECASE,
)
_HAVE = re.compile(
    rf"\bi have (?:a|an|one|two|three) ([\w-]{{1,30}}(?:\s[\w-]{{1,30}})?),? (?:called|named|whose name is) {_VALUE}",
    re.IGNORECASE,
)
_DOING = re.compile(rf"\bi (live|work|study|come|was born) (in|at|as|for|from|with)\s+{_VALUE}", re.IGNORECASE)
_FROM = re.compile(rf"\bi(?:'m|’m| am) (from)\s+{_VALUE}", re.IGNORECASE)
_AGE = re.compile(r"\bi(?:'m|’m| am) (\d{1,3}) years old\b|\bmy age is (\d{1,3})\b", re.IGNORECASE)
_REMEMBER = re.compile(
    r"\W*(?:(?:please|and|also|ok|hey)\W+){0,2}(?:remember|note|keep in mind|don't forget)\b"
    r"(?:\s+that\b|\s*[:,-])?\s*(.{2,300})",
    re.IGNORECASE | re.DOTALL,
)
_THE = re.compile(rf"\bthe\s+([\w'’-]{{1,30}}(?:\s[\w'’-]{{1,30}}){{0,3}}?)\s+(?:is|are)\s+{_VALUE}", re.IGNORECASE)
_ASKS = re.compile(r"\W*(?:what|who|where|when|how|do|does|did|can|could|is|are|tell me|which|why)\b", re.IGNORECASE)

_FIRST_PERSON = re.compile(r"\b(?:my|i|i'm|i’m|me|remember|note|mind|forget)\b", re.IGNORECASE)

_ASK_MY = re.compile(
    r"\b(?:what|who|which|when|where)(?:'s|’s|s| is| was| are| were)\s+(?:the name of\s+)?(my|the)\s+([^?.!\n]{1,80}?)"
    r"(?:\s+(?:called|named|again))?\s*(?:[?.!\n]|$)|"
    r"\b(?:do you (?:know|remember)|tell me|remind me(?: of| what)?)\s+(?:what\s+)?(?:the name of\s+)?"
    r"(my)\s+([^?.!\n]{1,80}?)"
    r"(?:\s+(?:is|was|are|again))?\s*(?:[?.!\n]|$)",
    re.IGNORECASE,
)
_ASK_ME = (
    (re.compile(r"\bwho am i\b|\bwhat am i called\b", re.IGNORECASE), "name"),
    (re.compile(r"\bhow old am i\b", re.IGNORECASE), "age"),
    (re.compile(r"\bwhere (?:do|did) i (?:live|stay)\b", re.IGNORECASE), "live"),
    (re.compile(r"\b(?:where|what|who) do i (?:work|do for work)\b", re.IGNORECASE), "work"),
    (re.compile(r"\bwhere (?:am i|do i come) from\b", re.IGNORECASE), "from"),
)
_PERSONAL = re.compile(
    r"(?:name|age|birthday|favourite|cat|dog|wife|husband|mother|father|brother|sister|son|daughter)\b"
)
_ABOUT_ME = re.compile(
    r"\bwhat (?:do|did|have) (?:you|i) (?:know|remember|learned|learnt|tell you|ask(?:ed)? you to remember|told you)\b",
    re.IGNORECASE,
)
_FIRST = re.compile(
    r"\b(?:what did i (?:say|ask|write|tell you)\W+(?:\w+\W+){0,2}first|what was the first thing|"
    r"(?:my|the) (?:very )?first (?:message|question|thing i))\b",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"\bwhat did i (?:just )?(?:say|ask|write)(?: you)?(?: last| before| just now| previously| earlier)?\s*\??\s*$|"
    r"\bmy (?:last|previous) (?:message|question)\b",
    re.IGNORECASE,
)
_SUMMARY = re.compile(
    r"\b(?:summari[sz]e|sum up|recap)\b.{0,30}\b(?:conversation|chat|thread|discussion|we (?:said|talked)|so far)\b|"
    r"\bwhat have we (?:talked|spoken|discussed)\b",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\bhow many (?:messages|questions|things) (?:have i|did i)\b", re.IGNORECASE)


class Facts(msgspec.Struct, frozen=True):
    """values: what is known by key ("name", "cat", "live"); notes: what was to be remembered as it is."""

    values: dict[str, str]
    notes: tuple[str, ...]


def read_facts(texts: Iterable[str]) -> Facts:
    """The facts of the messages, oldest first; a later one replaces an earlier one."""
    values: dict[str, str] = {}
    notes: list[str] = []
    for text in texts:
        if not _FIRST_PERSON.search(text):
            continue
        order = _REMEMBER.match(text)
        found = _facts_in(order.group(1) if order else text, is_order=order is not None)
        values |= found
        if order and not found:
            notes.append(shorten(order.group(1), 200).rstrip(". "))
    return Facts(values, tuple(notes))


def recall(turn: Turn) -> str | None:
    """The answer to a question about what the user said, None when it is none or the answer is not known."""
    text = turn.text
    about_talk = _about_the_talk(turn)
    if about_talk:
        return about_talk
    asked = _ASK_MY.search(text)
    key = (
        _key(asked.group(2) or asked.group(4))
        if asked
        else next((key for shape, key in _ASK_ME if shape.search(text)), "")
    )
    if not key and not _ABOUT_ME.search(text):
        return None
    if asked and (asked.group(1) or "").lower() == "the" and not any(_REMEMBER.match(text) for text in turn.earlier):
        return None
    facts = read_facts(turn.earlier)
    if not key:
        known = [*(_second_person(*fact) for fact in facts.values.items()), *facts.notes]
        return f"You told me: {join_words(known[-_MAX_LISTED:])}." if known else None
    fact = next(
        ((name, facts.values[name]) for name in (key, f"the {key}") if name in facts.values), _closest(key, facts)
    )
    return f"{_capital(_second_person(*fact))}." if fact else _noted(key, facts)


def is_unknown_fact(turn: Turn, *, is_personal: bool = False) -> bool:
    """Whether the user asks for something of their own (which recall did not know).

    is_personal: only what no document would know, such as a name or a favourite.
    """
    asked = _ASK_MY.search(turn.text)
    if asked and (asked.group(1) or asked.group(3)).lower() == "my":
        return not is_personal or bool(_PERSONAL.match(_key(asked.group(2) or asked.group(4))))
    return any(shape.search(turn.text) for shape, _ in _ASK_ME)


def is_order_to_remember(turn: Turn) -> bool:
    return bool(_REMEMBER.match(turn.text)) and "?" not in turn.text


def acknowledge(turn: Turn) -> str | None:
    """Thanks for a fact, None when the last words hold none."""
    if "?" in turn.text or _ASKS.match(turn.text):
        return None
    facts = read_facts([turn.text])
    known = [*(_second_person(*fact) for fact in facts.values.items() if fact[0] != "name"), *facts.notes]
    hello = f"Nice to meet you, {facts.values['name']}." if "name" in facts.values else ""
    noted = f"Noted: {join_words(known)}." if known else ""
    return " ".join(part for part in (hello, noted) if part) or None


def known_name(turn: Turn) -> str:
    """The user's name, "" when it was not given."""
    return read_facts(text for text in (*turn.earlier, turn.text) if "name" in text or "I" in text).values.get(
        "name", ""
    )


def _facts_in(text: str, *, is_order: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for sentence in re.split(r"(?<=[.!?\n])\s+", text):
        if sentence.rstrip().endswith("?") or (not is_order and _ASKS.match(sentence)):
            continue
        name = _NAME.search(sentence) or _I_AM.search(sentence)
        if name:
            found["name"] = name.group(1)
        pairs = [match.groups() for shape in (_MY, _HAVE) for match in shape.finditer(sentence)]
        if is_order:
            pairs += [(f"the {match.group(1)}", match.group(2)) for match in _THE.finditer(sentence)]
        found |= {_key(key): value.strip(" '\"“”") for key, value in pairs if _key(key) != "name"}
        for match in _DOING.finditer(sentence):
            verb, preposition, value = match.groups()
            found["from" if verb.lower() == "come" else verb.lower()] = f"{preposition.lower()} {value}"
        for match in _FROM.finditer(sentence):
            found["from"] = f"from {match.group(2)}"
        for match in _AGE.finditer(sentence):
            found["age"] = match.group(1) or match.group(2)
    return found


def _about_the_talk(turn: Turn) -> str | None:
    text = turn.text
    if _FIRST.search(text):
        return f"You began with: “{shorten(turn.earlier[0], 200)}”" if turn.earlier else "This is your first message."
    if _LAST.search(text):
        return (
            f"Before this you said: “{shorten(turn.earlier[-1], 200)}”"
            if turn.earlier
            else "This is your first message."
        )
    if _COUNT.search(text):
        return f"I see {len(turn.earlier) + 1} messages of yours, this one included."
    if _SUMMARY.search(text):
        return _summary(turn)
    return None


def _summary(turn: Turn) -> str:
    if not turn.earlier:
        return "There is little to sum up: this is your first message."
    said = [f"“{shorten(text, 60)}”" for text in turn.earlier]
    shown = said if len(said) <= _MAX_LISTED else [*said[:2], "…", *said[2 - _MAX_LISTED :]]
    called = list(dict.fromkeys(call.name for message in turn.history for call in message.tool_calls))
    lines = [f"So far you wrote {len(said)} message{'s' if len(said) > 1 else ''}:", *(f"- {line}" for line in shown)]
    if called:
        lines.append(f"On the way I called {join_words([f'`{name}`' for name in called])}.")
    known = [_second_person(*fact) for fact in read_facts(turn.earlier).values.items()]
    if known:
        lines.append(f"I know that {join_words(known[:_MAX_LISTED])}.")
    return "\n".join(lines)


def _key(words: str) -> str:
    key = " ".join(words.lower().replace("’", "'").replace("favorite", "favourite").replace("color", "colour").split())
    for ending in ("'s name", " name"):
        if key.endswith(ending) and key not in ("first name", "last name", "middle name", "user name"):
            return key.removesuffix(ending)
    return key


def _closest(key: str, facts: Facts) -> tuple[str, str] | None:
    """The fact whose key has the same words in another form."""
    wanted = content_stems(key)
    return next((fact for fact in facts.values.items() if wanted and content_stems(fact[0]) == wanted), None)


def _noted(key: str, facts: Facts) -> str | None:
    wanted = content_stems(key)
    note = next((note for note in reversed(facts.notes) if wanted and wanted <= content_stems(note)), None)
    return f"You asked me to remember: {note}." if note else None


def _second_person(key: str, value: str) -> str:
    if key in ("live", "work", "study"):
        return f"you {key} {value}"
    if key in ("from", "was born"):
        return f"you {'are' if key == 'from' else 'were born'} {value}"
    if key == "age":
        return f"you are {value} years old"
    verb = "are" if key.endswith("s") and not key.endswith(("ss", "us", "is")) else "is"
    return f"{key if key.startswith('the ') else f'your {key}'} {verb} {value}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
