"""What `agentrt stores search` prints: passages with the words that were found, and with --explain every candidate."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from typing import Final

from agentrt.cli.cells import clip, harmless
from agentrt.cli.options import Invocation
from agentrt.cli.screen import Role, Screen
from agentrt.cli.store_views import show_wrapped
from agentrt.cli.tables import show_table
from agentrt.wire.vector_stores import SearchCandidate, SearchResultObject, SearchResultsPage

_LINES: Final = 6
_BEFORE: Final = 120
_CANDIDATES: Final = 50
_WHY: Final = {
    "kept": "kept",
    "covered": "a better chunk has its text",
    "below_threshold": "scores too low",
    "beyond_limit": "enough better ones",
}


def print_results(
    invocation: Invocation, page: SearchResultsPage, *, explains: bool, is_long: bool, filters: Sequence[str] = ()
) -> None:
    """filters: as they were typed."""
    out, err = invocation.screens
    explained = page.get("explain")
    candidates = explained["candidates"] if explained is not None else []
    if invocation.is_json:
        shown = page if explains else {key: value for key, value in page.items() if key != "explain"}
        out.line(json.dumps(shown, ensure_ascii=False))
        return
    kept = [candidate for candidate in candidates if candidate["outcome"] == "kept"]
    for number, result in enumerate(page["data"]):
        if number:
            out.line()
        _show_result(out, number + 1, result, kept[number] if number < len(kept) else None, is_long=is_long)
    if explains and candidates:
        out.line()
        _show_candidates(out, candidates)
    if explained is not None and explained["why_no_vectors"]:
        show_wrapped(err, "warn", f"by words alone: {harmless(explained['why_no_vectors'])}", "warn")
    if explained is not None and explained["why_not_reranked"]:
        show_wrapped(err, "warn", f"not reranked: {harmless(explained['why_not_reranked'])}", "warn")
    if not page["data"]:
        which = f"no file with {harmless(' and '.join(filters))}" if filters else "no file"
        err.line("nothing found" + ("" if candidates else f": {which} has any of these words"))


def highlight(out: Screen, text: str, terms: Sequence[str]) -> str:
    """The text with the words that begin like one of the terms in colour; terms may be stems."""
    words = _pattern(terms)
    return text if words is None else words.sub(lambda match: out.paint(match[0], "accent"), text)


def _show_result(
    out: Screen, number: int, result: SearchResultObject, candidate: SearchCandidate | None, *, is_long: bool
) -> None:
    name = harmless(str(result["attributes"].get("path") or result["filename"]))
    page = "" if candidate is None or candidate["page"] is None else f"page {candidate['page']}"
    facts = " · ".join(filter(None, (page, f"{result['score']:.2f}")))
    out.line(f"{number}  {out.paint(name, 'strong')}  {out.paint(facts, 'dim')}")
    text = harmless(" ".join(part["text"] for part in result["content"]))
    terms = [] if candidate is None else candidate["matched_terms"]
    if is_long or not out.is_live:
        lines = [line.rstrip() for line in text.strip().splitlines()] if is_long else [_around(text, terms)]
    else:
        lines = textwrap.wrap(_around(text, terms), max(20, out.width - 4))
        lines = lines[:_LINES] + ([] if len(lines) <= _LINES else ["…"])
    for line in lines:
        out.line(f"   {highlight(out, line, terms)}".rstrip())


def _around(text: str, terms: Sequence[str]) -> str:
    """The passage on one line, from a little before the first word that was found."""
    line = " ".join(text.split())
    words = _pattern(terms)
    first = None if words is None else words.search(line)
    if first is None or first.start() <= _BEFORE:
        return line
    start = line.rfind(" ", 0, first.start() - _BEFORE // 2) + 1
    return f"… {line[start:]}"


def _show_candidates(out: Screen, candidates: Sequence[SearchCandidate]) -> None:
    """Columns that say nothing of any candidate are left out."""
    shown = candidates[:_CANDIDATES]
    heads, columns = ["#"], [[str(one["rank"]) for one in shown]]
    if any(one["rerank_score"] is not None for one in shown):
        heads.append("was")
        columns.append([str(one["fused_rank"]) for one in shown])
    for head, values in (
        ("words", [one["keyword_score"] for one in shown]),
        ("vectors", [one["vector_score"] for one in shown]),
        ("fused", [one["fused_score"] for one in shown]),
        ("reranked", [one["rerank_score"] for one in shown]),
        ("score", [one["score"] for one in shown]),
    ):
        if any(value is not None for value in values):
            heads.append(head)
            columns.append(["-" if value is None else f"{value:.2f}" for value in values])
    numbers = tuple(heads)
    columns += [[_WHY[one["outcome"]] for one in shown], [_place(one) for one in shown]]
    outcomes: list[Role] = ["ok" if one["outcome"] == "kept" else "dim" for one in shown]
    roles: list[Role | Sequence[Role]] = ["plain"] * len(heads)
    roles += [outcomes, "plain"]
    rows = list(zip(*columns, strict=True))
    show_table(out, (*heads, "why", "where"), rows, roles=roles, numbers=numbers, least_last=24)
    if len(candidates) > _CANDIDATES:
        out.line(out.paint(f"and {len(candidates) - _CANDIDATES} more: --json has all", "dim"))


def _place(one: SearchCandidate) -> str:
    page = "" if one["page"] is None else f" p.{one['page']}"
    return clip(harmless(f"{one['filename']}{page} {one['start_index']}-{one['end_index']}"), 200)


def _pattern(terms: Sequence[str]) -> re.Pattern[str] | None:
    stems = sorted({re.escape(_stem(term)) for term in terms if term}, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(stems)})\w*", re.IGNORECASE) if stems else None


def _stem(term: str) -> str:
    """Less than the term, when it may be a stem whose last letter changed (policy, polici)."""
    return term[:-1] if len(term) > 4 and term.endswith(("i", "y", "e")) else term
