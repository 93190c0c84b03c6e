"""Short words for Agents in code that search files: a folder to write in, models that search, what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agentrt import Agent, FileSearch
from agentrt.engine.events import CallReturned, Event
from agentrt.engine.message import FileCitation, Message, SearchShown, TextPart
from agentrt.models.embeddings import Purpose, Vector
from agentrt.testing.embedding_answers import word_vector
from agentrt.testing.scripts import ScriptedModel, text
from tests.runtime.file_search.searching import search

LEAVE = "Everybody has 28 days of leave a year."
REFUND = "Refunds are paid within 14 days."


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Put files into a folder, others stay."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def asks(*queries: str, answer: str = "Done.") -> ScriptedModel:
    """A model that searches once and then says something."""
    return ScriptedModel(search(*queries), text(answer))


async def events_of(agent: Agent, words: str) -> list[Event]:
    async with agent.stream(words) as run:
        return [event async for event in run]


def shown(events: Sequence[Event]) -> SearchShown:
    (returned,) = [event for event in events if isinstance(event, CallReturned)]
    assert isinstance(returned.result.shown, SearchShown)
    return returned.result.shown


def read_last(model: ScriptedModel) -> str:
    """What the model read last."""
    return model.requests[-1].messages[-1].text


def cited(message: Message) -> list[str]:
    """The markers that a message cites by; that their offsets are true is seen to here."""
    (part,) = message.parts
    assert isinstance(part, TextPart)
    for note in part.annotations:
        assert part.text[note.start : note.end] == note.text
    return [note.text for note in part.annotations if isinstance(note, FileCitation)]


def names(files: FileSearch) -> list[str]:
    """Of the files that are searched in."""
    return sorted(file.name for file in files.files.values())


class Words:
    """An Embedder whose vectors are near when texts share words. asked: the texts, those of questions too."""

    def __init__(self, model: str = "words") -> None:
        self.model = model
        self.window_tokens: int | None = None
        self.asked: list[tuple[Purpose, str]] = []
        self.failure: Exception | None = None

    async def embed(self, texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        if self.failure is not None:
            raise self.failure
        self.asked += [(as_, one) for one in texts]
        return [word_vector(one) for one in texts]
