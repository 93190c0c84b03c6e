"""Which messages fit: a window that is filled from the newest message backwards, so that nothing older is read."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.engine.message import Message, Role
from agentrt.engine.tokens import BYTES_PER_TOKEN, estimate_tokens


class ContextTooLongError(Exception):
    """Not even the newest message fits. is_run_limit: what is left of max_prompt_tokens is the limit."""

    def __init__(self, *, needed: int, budget: int, is_run_limit: bool) -> None:
        limit = "what is left of max_prompt_tokens" if is_run_limit else "the model's context window"
        super().__init__(
            f"The newest message needs about {needed} tokens; {limit} leaves {max(budget, 0)} for it "
            "(after instructions, tools and room for the answer)."
        )
        self.is_run_limit = is_run_limit


class Window:
    """Take entries newest first until one does not fit.

    An entry is one or more messages that must not be parted: a message, or a turn's calls with their outputs.
    budget_tokens: what history and the run's own turns may cost. last_messages: at most so many messages of the
    thread (None = no such limit). is_run_limit: max_prompt_tokens set the budget, not the model.
    Source: API reference, runs, `truncation_strategy` (`auto`, `last_messages`).
    """

    def __init__(
        self,
        *,
        budget_tokens: int,
        last_messages: int | None = None,
        bytes_per_token: float = BYTES_PER_TOKEN,
        is_run_limit: bool = False,
    ) -> None:
        self._budget = self._left = budget_tokens
        self._messages_left = last_messages
        self._bytes_per_token = bytes_per_token
        self._is_run_limit = is_run_limit
        self._entries: list[tuple[Message, ...]] = []
        self._turns: list[tuple[Message, ...]] = []
        self._has_question = False
        self.is_full = False

    def add_turns(self, turns: Sequence[Message]) -> None:
        """The run's own turns, oldest first. Those that fit beside the newest message of the thread will stay."""
        for message in turns:
            if message.role is Role.TOOL and self._turns:
                self._turns[-1] = (*self._turns[-1], message)
            else:
                self._turns.append((message,))

    def offer(self, entry: tuple[Message, ...], *, counts: bool = True) -> bool:
        """Take the next older entry of the thread. False: it does not fit, and nothing older will be taken.

        counts: whether it is a message, which `last_messages` counts; a tool step is not.
        Raises ContextTooLongError if the newest message does not fit.
        """
        if self.is_full:
            return False
        cost = self._cost(entry)
        if counts and not self._has_question:
            # The question comes first, then the answers to it that exist, then what is older: the middle is dropped.
            self._has_question = True
            if cost > self._left:
                raise ContextTooLongError(needed=cost, budget=self._budget, is_run_limit=self._is_run_limit)
            self._take(entry, cost, counts=counts)
            self._fit_turns()
            return not self.is_full
        if cost > self._left or (counts and self._messages_left is not None and self._messages_left < 1):
            self.is_full = True
            return False
        self._take(entry, cost, counts=counts)
        return True

    def messages(self) -> tuple[Message, ...]:
        """What was taken, oldest first, the run's own turns last."""
        if not self._has_question:
            self._fit_turns()
        return tuple(message for entry in (*reversed(self._entries), *self._turns) for message in entry)

    @property
    def cost_tokens(self) -> int:
        """About what the messages taken cost; final when `messages` has been asked for."""
        return self._budget - self._left

    def _take(self, entry: tuple[Message, ...], cost: int, *, counts: bool) -> None:
        self._left -= cost
        if counts and self._messages_left is not None:
            self._messages_left -= 1
        self._entries.append(entry)

    def _fit_turns(self) -> None:
        kept: list[tuple[Message, ...]] = []
        for turn in reversed(self._turns):
            cost = self._cost(turn)
            if cost > self._left and kept:
                self.is_full = True
                break
            self._left -= cost
            kept.append(turn)
        self._turns = kept[::-1]
        self.is_full = self.is_full or self._left <= 0

    def _cost(self, entry: tuple[Message, ...]) -> int:
        return sum(estimate_tokens(message, bytes_per_token=self._bytes_per_token) for message in entry)
