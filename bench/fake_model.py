"""The model server of the benchmarks, a process of its own. What the last message says decides how it answers:

SAY: at once, twenty words, of which the first is the moment at which they were sent.
TELL: two hundred words, one every ten milliseconds, a second after the question.
WAIT: a word now and then for minutes; asked again in the same words, as after a crash, it answers at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Final

from msgspec.structs import replace

from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Completion, ReceivedRequest, Reply, as_reply

SAY: Final = "Say something."
TELL: Final = "Tell a story."
WAIT: Final = "Wait and see."

N_WORDS: Final = 20
N_WORDS_OF_STORY: Final = 200
STORY_WORD_EVERY_S: Final = 0.01
_STORY_BEGINS_AFTER_S = 1.0
_WAITS_S = 300


class Voice:
    """The script. It remembers what it was asked to wait with."""

    def __init__(self) -> None:
        self._waited_for: set[str] = set()

    def __call__(self, request: ReceivedRequest) -> Completion | Reply:
        messages: Any = request.body["messages"]
        asked = str(messages[-1]["content"])
        if asked.startswith(TELL):
            return _story(request)
        if asked.startswith(WAIT) and asked not in self._waited_for:
            self._waited_for.add(asked)
            reply = as_reply(_words(_WAITS_S), request)
            return replace(reply, delay_s=1.0)
        # All of one length: the server cuts the text into equal pieces, and the first must be the whole number.
        words = [f"{time.monotonic():<15.6f} ", *(f"{f'word{n}':<15} " for n in range(N_WORDS - 1))]
        # An honest count: agentrt learns from it how many tokens a text has.
        n_prompt_tokens = len(json.dumps(messages)) // 4
        return Completion(text="".join(words), n_chunks=N_WORDS, usage=(n_prompt_tokens, N_WORDS))


def _story(request: ReceivedRequest) -> Reply:
    reply = as_reply(_words(N_WORDS_OF_STORY), request)
    silence = (b": \n\n",) * round(_STORY_BEGINS_AFTER_S / STORY_WORD_EVERY_S)
    return replace(reply, pieces=silence + reply.pieces, delay_s=STORY_WORD_EVERY_S)


def _words(n: int) -> Completion:
    return Completion(text="".join(f"{f'word{i}':<8}" for i in range(n)), n_chunks=n, usage=(12, n))


async def _serve() -> None:
    async with FakeModelServer(Voice(), keeps_requests=False) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
