"""Everything that is wrong with a configuration, gathered so that people see all of it at once."""

from __future__ import annotations

from agentrt.config.positions import KeyPath
from agentrt.config.source import At, Problem, Source
from agentrt.errors import ConfigError


class Report:
    """Problems and warnings. A place that has a problem gets no second one: it would only follow from the first."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._problems: list[Problem] = []
        self._reported: set[tuple[int, KeyPath]] = set()
        self._misspelt: set[tuple[int, KeyPath]] = set()

    def problem(self, source: Source, path: KeyPath, what: str, *, fix: str = "", at: At = "value") -> None:
        if (source.number, path) not in self._reported:
            self._reported.add((source.number, path))
            self._problems.append(source.problem(path, what, fix=fix, at=at))

    def missing(self, source: Source, path: KeyPath, *, fix: str) -> None:
        """A key that is needed is not there."""
        if (source.number, path) not in self._misspelt:
            self.problem(source, path, "this key is missing", fix=fix, at="key")

    def misspelt(self, source: Source, path: KeyPath) -> None:
        """The key at path is not really missing: a problem with what stands in its place is reported."""
        self._misspelt.add((source.number, path))

    def warning(self, source: Source, path: KeyPath, what: str) -> None:
        self.warnings.append(f"{source.where(path)}: {what}")

    def has_problem(self, source: Source, path: KeyPath) -> bool:
        """Whether something at path or below it was reported."""
        return any(number == source.number and reported[: len(path)] == path for number, reported in self._reported)

    def raise_problems(self) -> None:
        """Raises ConfigError if there are any, in the order of the files."""
        if self._problems:
            raise ConfigError([str(problem) for problem in sorted(self._problems, key=lambda each: each.rank)])
