"""The demo model as a model client: a decision becomes chunks, with usage and limits."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from agentrt.clock import Clock, SystemClock
from agentrt.engine.message import ImageFilePart, ImageUrlPart, Usage
from agentrt.engine.spec import FunctionTool
from agentrt.models.client import CallChunk, Chunk, EndChunk, ModelRequest, TextChunk
from agentrt.models.demo.jsontext import write_json

if TYPE_CHECKING:
    from agentrt.models.demo.turn import PlannedCall, Reply

_CHARS_PER_TOKEN = 4
_IMAGE_TOKENS = 85  # what the API counts for an image in low detail
_HOSTED_TOOL_CHARS = 400
_N_FRAGMENTS = 6
# A word with the space before it; a citation marker stays whole, it must not be split over deltas.
_PIECE = re.compile(r"\s*(?:[^\s【]+|【[^】\n]{0,200}】|【)+|\s+")


class Demo:
    """The built-in deterministic model: rules that stand in for a language model, and say so when asked.

    The same request always gives the same chunks. delay_s: a pause before every chunk, for the look of it.
    """

    def __init__(
        self, *, delay_s: float = 0.0, clock: Clock | None = None, context_window: int | None = 128_000
    ) -> None:
        self._delay_s = delay_s
        self._clock = clock or SystemClock()
        self._context_window = context_window
        # The rules hold a hundred regular expressions: who only imports the class does not pay for compiling them.
        from agentrt.models.demo.decide import decide

        self._decide = decide

    @property
    def context_window(self) -> int | None:
        return self._context_window

    @property
    def takes_images(self) -> bool:
        """True: it says how many it got. It cannot look at them, and says that too."""
        return True

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one answer, word by word. Never raises; closing the iterator simply ends it."""
        for chunk in _chunks(request, self._decide(request)):
            if self._delay_s > 0:
                await self._clock.sleep(self._delay_s)
            yield chunk


def _chunks(request: ModelRequest, reply: Reply) -> Iterator[Chunk]:
    """A reply in pieces, EndChunk last."""
    left = None if request.max_completion_tokens is None else max(0, request.max_completion_tokens) * _CHARS_PER_TOKEN
    text = reply.text if left is None else reply.text[:left]
    for piece in _PIECE.findall(text):
        yield TextChunk(piece)
    n_chars = len(text)
    is_cut = len(text) < len(reply.text)
    seed = _seed(request) if reply.calls else b""
    for index, call in enumerate(reply.calls):
        arguments = write_json(call.arguments)
        n_chars += len(call.name) + len(arguments)
        if left is not None and n_chars > left:
            # Whole calls only: half a call would be arguments that nobody can read.
            n_chars -= len(call.name) + len(arguments)
            is_cut = True
            break
        yield CallChunk(index, _call_id(seed, index, call, arguments), call.name)
        size = max(12, -(-len(arguments) // _N_FRAGMENTS))
        for start in range(0, len(arguments), size):
            yield CallChunk(index, arguments=arguments[start : start + size])
    usage = Usage(prompt_tokens=_count_prompt(request), completion_tokens=_tokens(n_chars))
    yield EndChunk("length" if is_cut else "tool_calls" if reply.calls else "stop", usage)


def _count_prompt(request: ModelRequest) -> int:
    """Tokens of a request, estimated: 4 characters a token, 85 tokens an image."""
    n_chars = n_images = 0
    for message in request.messages:
        n_chars += len(message.text) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        n_images += sum(isinstance(part, (ImageUrlPart, ImageFilePart)) for part in message.parts)
    for tool in request.tools:
        if isinstance(tool, FunctionTool):
            n_chars += len(tool.name) + len(tool.description or "") + len(repr(tool.parameters))
        else:
            n_chars += _HOSTED_TOOL_CHARS
    return _tokens(n_chars) + n_images * _IMAGE_TOKENS


def _tokens(n_chars: int) -> int:
    return -(-n_chars // _CHARS_PER_TOKEN)


def _seed(request: ModelRequest) -> bytes:
    """What makes a call's id differ from all earlier ones of its conversation, and nothing that changes by itself."""
    last_id = next((message.tool_calls[-1].id for message in reversed(request.messages) if message.tool_calls), "")
    last_text = request.messages[-1].text if request.messages else ""
    return f"{len(request.messages)}\n{last_id}\n{last_text}".encode("utf-8", "surrogatepass")


def _call_id(seed: bytes, index: int, call: PlannedCall, arguments: str) -> str:
    content = f"\n{index}\n{call.name}\n{arguments}".encode("utf-8", "surrogatepass")
    return "call_" + blake2b(seed + content, digest_size=12).hexdigest()
