"""Direct orders that need no understanding ("say X", "count to 5"), and the form that an answer is to have."""

from __future__ import annotations

import re

from agentrt.models.demo.lexicon import HAIKU, JOKES, LISTS, NUMBER_WORDS, STOP_WORDS
from agentrt.models.demo.passages import MARKER
from agentrt.models.demo.turn import Turn
from agentrt.models.demo.words import join_words, raw_words, stem

_MAX_COUNT = 200
_POLITE = r"\W*(?:(?:please|now|just|then|ok|okay|can you|could you|would you|and)\W+){0,3}"
_SAY_TO = re.compile(
    rf"{_POLITE}say (hi|hello|goodbye|bye|thanks|thank you|good morning) to ([^.!?\n]{{1,60}})", re.IGNORECASE
)
_SAY = re.compile(
    rf"{_POLITE}(?:(?:say|echo|repeat(?: after me)?)(?: exactly| only)?(?:(?: this| the following)(?=\s*[:\n]))?"
    r"(?: back(?: to me)?)?"
    r"|(?:reply|respond|answer)(?: only)? with(?: exactly| only| just)?(?: the (?:word|text|following))?"
    r"|(?:write|print|output|type|reply|respond|answer|return) (?:exactly|only|just)"
    r"(?: this| the (?:word|text|following))?"
    r"|(?:write|print|output|type|reply|respond|answer)(?=\s*[:\"“]))\s*[:,]?\s+(.{1,2000})",
    re.IGNORECASE | re.DOTALL,
)
_NOT_LITERAL = re.compile(
    r"(?:something|anything|a |an |your |one |two |three |in |what|more|nothing|json|yes or no)", re.IGNORECASE
)
_AGAIN = re.compile(rf"{_POLITE}(?:say|repeat) (?:that|it|this)(?: again| once more| please)*\W*", re.IGNORECASE)
_COUNT = re.compile(r"\bcount (?:up )?(?:from ([\w-]{1,12}) )?(?:up )?to ([\w-]{1,12})\b", re.IGNORECASE)
_COUNT_DOWN = re.compile(
    r"\bcount ?down from ([\w-]{1,12})\b|\bcount (?:backwards|back|down) from ([\w-]{1,12})\b", re.IGNORECASE
)
_LIST = re.compile(
    r"\b(?:list|name|give me|tell me|write|show me|enumerate|suggest)\s+(?:me\s+)?(?:a\s+list\s+of\s+)?"
    r"(?:(?:the|all)\s+)?"
    r"([\w-]{1,12}|a few|a couple of)\s+(?:[\w-]{1,20}\s+){0,2}?([^\W\d_]{3,20})\b",
    re.IGNORECASE,
)
_SPELL = re.compile(r"\bspell (?:out )?(?:the word )?[\"'“`]?([^\W\d_]{2,40})", re.IGNORECASE)
_REVERSE = re.compile(
    r"\b(?:reverse|backwards)\W+(?:the (?:word|text|string) )?[\"'“`]?([^\s\"'”`?.!]{2,60})", re.IGNORECASE
)
_JOKE = re.compile(r"\bjokes?\b|\bsay something funny\b|\bmake me laugh\b", re.IGNORECASE)
_POEM = re.compile(r"\b(?:haiku|poem|verse)\b", re.IGNORECASE)
_WANTS = re.compile(r"\b(?:write|tell|give|make|compose|know|say|another|one more|recite|a)\b", re.IGNORECASE)

_ONE_WORD = re.compile(
    r"\b(?:in|with|using) (?:just |only |exactly )?(?:one|a single|1) word\b|\bone[- ]word (?:answer|reply)\b",
    re.IGNORECASE,
)
_N_WORDS = re.compile(
    r"\b(?:in|with|using) (?:at most |no more than |up to |exactly |max(?:imum)? )?([\w-]{1,12}) words\b", re.IGNORECASE
)
_ONE_SENTENCE = re.compile(r"\bin (?:just |only )?(?:one|a single|1) sentence\b", re.IGNORECASE)
_UPPER = re.compile(r"\b(?:upper ?-?case|all caps|capital letters|block capitals)\b", re.IGNORECASE)
_LOWER = re.compile(r"\b(?:lower ?-?case|small letters)\b", re.IGNORECASE)
_NEVER = re.compile(r"\b(?:never|not|don't|avoid|without)\b[^.\n]{0,30}$", re.IGNORECASE)
_CONCLUSION = re.compile(r"(?:\b(?:is|are)|=|:)\s+(\S{1,60}?)[.!]?$")


def follow_order(turn: Turn) -> str | None:
    """The answer to a direct order, None when the last words are none."""
    text = turn.text
    if _AGAIN.fullmatch(text):
        return turn.previous_answer or "I have not said anything yet."
    return _said(text) or _counted(text) or _listed(text) or _played(text, n_said=len(turn.earlier))


def order_verbs(turn: Turn) -> frozenset[str]:
    """Stems of the verb that the order begins with: a tool of this name goes first."""
    words = [word for word in raw_words(turn.text[:80]) if word not in STOP_WORDS]
    return frozenset(map(stem, words[:1]))


def give_form(answer: str, turn: Turn) -> str:
    """The answer in the form that the last words or the instructions ask for: one word, upper case, …

    Citation markers stay as they are.
    """
    asked = f"{turn.instructions}\n{turn.text}"
    if _asks(_ONE_WORD, asked):
        answer = _one_word(answer)
    elif count := _N_WORDS.search(asked):
        n_words = _number(count.group(1))
        answer = " ".join(answer.split()[:n_words]) if n_words else answer
    elif _asks(_ONE_SENTENCE, asked):
        answer = re.split(r"(?<=[.!?])\s", answer, maxsplit=1)[0]
    if _asks(_UPPER, asked):
        return _recased(answer, upper=True)
    return _recased(answer, upper=False) if _asks(_LOWER, asked) else answer


def _asks(shape: re.Pattern[str], text: str) -> bool:
    found = shape.search(text)
    return bool(found) and not _NEVER.search(text[max(0, found.start() - 40) : found.start()]) if found else False


def _recased(text: str, *, upper: bool) -> str:
    pieces = re.split(f"({MARKER.pattern})", text)
    return "".join(piece if at % 2 else piece.upper() if upper else piece.lower() for at, piece in enumerate(pieces))


def _one_word(answer: str) -> str:
    conclusion = _CONCLUSION.search(answer.strip())
    if conclusion:
        return conclusion.group(1)
    words = answer.split()
    telling = [word for word in words if word.strip(".,!?“”\"'`").lower() not in STOP_WORDS]
    return (telling or words or [""])[0].strip(".,!?“”\"'`:")


def _said(text: str) -> str | None:
    to = _SAY_TO.match(text)
    if to:
        return f"{to.group(1).capitalize()}, {to.group(2).strip()}!"
    order = _SAY.match(text)
    if not order or _NOT_LITERAL.match(order.group(1)):
        return None
    words = order.group(1).strip()
    quoted = re.match(r"[\"“'«‘](.+?)[\"”'»’]", words, re.DOTALL)
    if quoted:
        return quoted.group(1)
    words = re.sub(
        r"\W+(?:in (?:one word|upper ?case|all caps|lower ?case)|please|and nothing else|nothing else|only)\W*$",
        "",
        words,
        flags=re.IGNORECASE,
    )
    return words[:1].upper() + words[1:] if words else None


def _counted(text: str) -> str | None:
    down = _COUNT_DOWN.search(text)
    up = None if down else _COUNT.search(text)
    start: int | None
    stop: int | None
    if down:
        start, stop = _number(down.group(1) or down.group(2)), 1
    elif up:
        start, stop = _number(up.group(1)) if up.group(1) else 1, _number(up.group(2))
    else:
        return None
    if start is None or stop is None:
        return None
    step = 1 if start <= stop else -1
    numbers = [str(number) for number in range(start, stop + step, step)[:_MAX_COUNT]]
    rest = abs(stop - start) + 1 - len(numbers)
    return ", ".join(numbers) + (f" … and {rest} more, which I leave to you." if rest > 0 else "")


def _listed(text: str) -> str | None:
    order = _LIST.search(text)
    if not order:
        return None
    items = _STEMMED_LISTS.get(stem(order.group(2))) or _STEMMED_LISTS.get(stem(order.group(1)))
    if items is None:
        return None
    wanted = _number(order.group(1)) or (len(items) if re.search(r"\b(?:all|the)\b", order.group()) else 3)
    shown = items[:wanted]
    short = f" (I know only {len(items)}.)" if wanted > len(items) else ""
    return _capital(join_words(shown)) + "." + short


def _played(text: str, *, n_said: int) -> str | None:
    spell = _SPELL.search(text)
    if spell:
        return "-".join(spell.group(1).upper())
    reverse = _REVERSE.search(text)
    if reverse:
        return reverse.group(1)[::-1]
    if _JOKE.search(text) and _WANTS.search(text):
        return JOKES[n_said % len(JOKES)]
    if _POEM.search(text) and _WANTS.search(text):
        return f"{HAIKU}\n\n(The only poem in my script.)"
    return None


def _number(word: str) -> int | None:
    if word.isascii() and word.isdecimal():
        return int(word)
    return NUMBER_WORDS.get(word.lower())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_STEMMED_LISTS = {stem(name): items.split() for name, items in LISTS.items()} | {stem("color"): LISTS["colour"].split()}
