"""Small talk: greetings, who this is, what it can do, images it cannot see, the last resort. Never a lie."""

from __future__ import annotations

import re

from agentrt.engine.message import ImageFilePart, ImageUrlPart
from agentrt.engine.spec import FunctionTool
from agentrt.models.demo.arithmetic import evaluate, show_number
from agentrt.models.demo.hosted import CODE, SEARCH, is_hosted
from agentrt.models.demo.memory import known_name
from agentrt.models.demo.turn import READ_LIMIT, Turn
from agentrt.models.demo.words import join_words, shorten

IDENTITY = "I am agentrt's scripted demo model, not a language model"
PLUG = (
    'For a real model, add a [models.NAME] table to agents.toml (provider = "openai", "ollama" or "compatible") '
    "and name it as your agent's model."
)

_LONGEST_TALK = 160
_QUOTED = re.compile(r"[\"“][^\"”\n]{0,160}[\"”]")
_GREETING = re.compile(
    r"\W*(?:hi+|hello|hey|hei|hallo|howdy|greetings|moin|good (?:morning|afternoon|evening|day))"
    r"(?:\W+(?:there|again|demo|agentrt|all|everyone|world|you|assistant|bot|friend))?\W*",
    re.IGNORECASE,
)
_HOW_ARE_YOU = re.compile(r"\bhow(?:'s it going| are you| do you do| are things)\b|\bwhat's up\b", re.IGNORECASE)
_THANKS = re.compile(
    r"\W*(?:(?:ok|okay|great|perfect|nice|cool|good|super|wow)\W+)?"
    r"(?:thanks?|thank you|thx|cheers|much appreciated)\b.{0,40}",
    re.IGNORECASE | re.DOTALL,
)
_PRAISE = re.compile(
    r"\W*(?:great|perfect|nice|cool|awesome|well done|good (?:job|bot|work)|excellent|brilliant|wow)\W*", re.IGNORECASE
)
_FINE = re.compile(
    r"\W*(?:ok|okay|k|fine|alright|all right|i see|got it|understood|right|yes|no|sure)\W*", re.IGNORECASE
)
_NEVER_MIND = re.compile(r"\W*(?:never ?mind|forget it|cancel|stop|skip it)\b.{0,30}", re.IGNORECASE | re.DOTALL)
_BYE = re.compile(
    r"\W*(?:bye|goodbye|good ?bye|see you|see ya|good night|ciao|farewell)\b.{0,30}", re.IGNORECASE | re.DOTALL
)
_WHO = re.compile(
    r"\b(?:who|what) (?:are|r) (?:you|u)\b|\byour name\b|\bwho (?:made|built|wrote|created|trained) you\b|"
    r"\b(?:which|what)(?: language| ai)? (?:model|llm)\b.{0,20}\b(?:you|this|running|using)\b|"
    r"\bare you (?:an? |really |a real |the )?(?:human|person|real|robot|bot|ai|llm|language model|chat ?gpt|gpt\S*|"
    r"model|alive|conscious|sentient|demo)\b|"
    r"\bintroduce yourself\b|\btell me about yourself\b",
    re.IGNORECASE,
)
_ABILITIES = re.compile(
    r"\bwhat (?:can|could) (?:you|i) (?:do|ask|try)\b|\bwhat (?:tools|functions|abilities|capabilities)\b|"
    r"\b(?:your|list|which) tools\b|"
    r"\bhow (?:can|do) (?:you help|i use you)\b|\W*(?:help|what now)\W*$|\bcan you help\b",
    re.IGNORECASE,
)
_YOU_ARE = re.compile(
    r"\b(?:you are|your name is|you're|act as)\s+(?:called\s+|named\s+)?([^.,;\n]{2,60})", re.IGNORECASE
)
_LAST_RESORTS = (
    "You wrote “{echo}”. I have no opinion on that: {identity}.",
    "“{echo}” is not in my script. {Identity}, so I will not make something up.",
    "I read your {n_words} and matched {them} against everything I know, which took no time at all. {Identity}.",
    "“{echo}”, you say. A language model would have a paragraph for you; I have this line. {Identity}.",
)


def small_talk(turn: Turn) -> str | None:
    """The answer to small talk, None when the last words are none."""
    if not turn.raw_text.strip() and not turn.images:
        return f"You sent no words, and I have few of my own. {IDENTITY}. {_offer(turn)}"
    if len(turn.text) > _LONGEST_TALK:
        return None
    text = _QUOTED.sub(" ", turn.text)
    if _GREETING.fullmatch(text):
        name = known_name(turn)
        return f"Hello{', ' + name if name else ''}! {IDENTITY}. {_offer(turn)}"
    if _ABILITIES.search(text):
        return _abilities(turn)
    if _WHO.search(text):
        return _introduction(turn)
    if _HOW_ARE_YOU.search(text):
        return "Deterministic, thank you: exactly as well as the last time you asked."
    if _THANKS.fullmatch(text):
        return "You are welcome. It was no trouble: I do not have any."
    if _PRAISE.fullmatch(text):
        return "Kind of you. I would blush, but it is not in the script."
    if _NEVER_MIND.fullmatch(text):
        return "Consider it never asked."
    if _FINE.fullmatch(text):
        return "Good. I wait for your next words; it is what I do best."
    return "Goodbye! I will be here, unchanged." if _BYE.fullmatch(text) else None


def work_out(turn: Turn) -> str | None:
    """Arithmetic without a tool, None when there is none to do."""
    if turn.expression is None or not turn.asks_arithmetic:
        return None
    value = evaluate(turn.expression.code)
    return f"{turn.expression.code} = {show_number(value)}" if value is not None else None


def describe_images(turn: Turn) -> str:
    """How many images came and of what type; what they show is not known here."""
    kinds = [_image_kind(image) for image in turn.images]
    many = f"{len(kinds)} images ({join_words(kinds)})" if len(kinds) > 1 else f"one image ({kinds[0]})"
    return f"You sent {many}. I cannot look at {'them' if len(kinds) > 1 else 'it'}: {_lower(IDENTITY)}. {PLUG}"


def last_resort(turn: Turn) -> str:
    """An honest echo, a different one from message to message, always the same for the same request."""
    if turn.request.response_format.type in ("json_object", "json_schema"):
        return f"{IDENTITY}."  # in a field of an object, wit is noise
    n_words = len(turn.raw_text[:10_000].split())
    template = _LAST_RESORTS[(len(turn.earlier) + n_words) % len(_LAST_RESORTS)]
    line = template.format(
        echo=shorten(turn.text or turn.raw_text, 60).rstrip(".!?"),
        identity=_lower(IDENTITY),
        Identity=IDENTITY,
        n_words=f"{n_words} words" if n_words != 1 else "word",
        them="them" if n_words != 1 else "it",
    )
    if turn.is_cut:
        line = f"{line} I read only the first {READ_LIMIT} characters of it."
    return f"{line} {_offer(turn)}\n{PLUG}"


def forgotten() -> str:
    """The answer to a question about the user that they have not answered themselves."""
    return f"You have not told me that, at least not in the messages I was sent. {IDENTITY}, so I do not guess.\n{PLUG}"


def _introduction(turn: Turn) -> str:
    role = _YOU_ARE.search(turn.instructions)
    called = f" My instructions call me “{shorten(role.group(1), 60)}”, which is flattering." if role else ""
    return f"{IDENTITY}: rules in a few Python files, no network, no key, the same answer every time.{called}\n{PLUG}"


def _abilities(turn: Turn) -> str:
    lines = [f"{IDENTITY}, but there are a few things I can do."]
    tools = turn.request.tools
    for tool in tools:
        if is_hosted(tool, CODE):
            lines.append("- `code_interpreter`: run Python. Try: mean of 3, 9, 12 and a bar chart")
        elif is_hosted(tool, SEARCH):
            lines.append("- `file_search`: search your files. Ask a question about them.")
        elif isinstance(tool, FunctionTool):
            about = shorten(tool.description or "", 100)
            lines.append(f"- `{tool.name}`" + (f": {about}" if about else ""))
    if not tools:
        lines.append("- Tools: none were given to me. With some, I would call them when your words match.")
    lines.append("- Remember what you tell me in this thread. Try: my name is Ada")
    lines.append("- Small orders: count to 5, list three fruits, what is 12 * 7?, tell me a joke")
    return "\n".join([*lines, PLUG])


def _offer(turn: Turn) -> str:
    """What to try next, told by the tools at hand."""
    tools = turn.request.tools
    functions = [f"`{tool.name}`" for tool in tools if isinstance(tool, FunctionTool)]
    if functions:
        named = join_words([*functions[:3], *([f"{len(functions) - 3} more"] if len(functions) > 3 else [])])
        return f"I have {'a tool' if len(functions) == 1 else 'tools'}, though: {named}."
    if any(is_hosted(tool, CODE) for tool in tools):
        return "I can run Python, though: try “mean of 3, 9, 12 and a bar chart”."
    if any(is_hosted(tool, SEARCH) for tool in tools):
        return "I can search your files, though: ask something about them."
    return "Ask me what I can do."


def _image_kind(image: ImageUrlPart | ImageFilePart) -> str:
    if isinstance(image, ImageFilePart):
        return "a stored file"
    url = image.url
    if url.startswith("data:"):
        head = url[5:85].split(",", 1)[0].split(";", 1)[0]
        kind = head.removeprefix("image/").split("+")[0].upper() or "unknown type"
        size = max(0, (len(url) - len(head) - 13) * 3 // 4)
        return f"{kind}, about {size // 1024} KB" if size >= 1024 else f"{kind}, {size} bytes"
    suffix = re.search(r"\.(png|jpe?g|gif|webp|bmp|svg|avif)(?:[?#]|$)", url[-200:], re.IGNORECASE)
    return f"{suffix.group(1).upper()} behind a link" if suffix else "behind a link"


def _lower(text: str) -> str:
    return text if text.startswith("I ") else text[:1].lower() + text[1:]
