"""[[webhooks]] → WebhookSpec: addresses, secrets that can sign, and patterns of events."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, get_args
from urllib.parse import urlsplit, urlunsplit

from agentrt.config.merge import Entry, Merged, why_missing
from agentrt.config.report import Report
from agentrt.config.schema import WebhookEvent, WebhookSpec
from agentrt.config.webhook_secret import LONGEST_KEY, PREFIX, SHORTEST_KEY, signing_key
from agentrt.config.webhook_table import WebhookTable
from agentrt.secret import Secret
from agentrt.suggest import did_you_mean, listed

EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)

_SHORTEST_TEXT: Final = 16
_HOW_TO_MAKE: Final = 'make one: echo "whsec_$(openssl rand -base64 32)"'


def webhook_specs(merged: Merged, report: Report) -> tuple[WebhookSpec, ...]:
    """All webhooks, in the order of the files."""
    specs: list[WebhookSpec] = []
    for entry in merged.webhooks:
        if any(spec.name == entry.table.name for spec in specs):
            what = f'another webhook is called "{entry.table.name}"'
            report.problem(entry.source, (*entry.path, "name"), what, fix="give each webhook its own name")
        specs.append(_spec(entry, report))
    return tuple(specs)


def shown_url(url: str) -> str:
    """The URL without what only its owner should know: password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _spec(entry: Entry[WebhookTable], report: Report) -> WebhookSpec:
    table = entry.table
    unavailable = why_missing(entry)
    url = _url(entry, report, is_missing=unavailable is not None)
    secrets = []
    for key, text in (("secret", table.secret), ("previous_secret", table.previous_secret)):
        if text:
            _check_secret(entry, key, text, report)
            secrets.append(Secret(text))
    if not table.secret and unavailable is None:
        fix = f'add secret = "${{{table.name.upper().replace("-", "_")}_WEBHOOK_SECRET}}"'
        report.missing(entry.source, (*entry.path, "secret"), fix=fix)
    return WebhookSpec(
        name=table.name,
        url=Secret(url, shown=shown_url(url)),
        secrets=tuple(secrets),
        events=_events(entry, report),
        project=table.project,
        timeout_s=table.timeout,
        enabled=table.enabled,
        unavailable=unavailable,
    )


def _url(entry: Entry[WebhookTable], report: Report, *, is_missing: bool) -> str:
    """The address, "" when there is none that can be used."""
    path, url = (*entry.path, "url"), entry.table.url
    if url is not None and _is_http(url):
        return url
    if url is not None:
        report.problem(entry.source, path, "this is not a web address", fix='such as "https://example.com/agentrt"')
    elif not is_missing:
        report.missing(entry.source, path, fix='add url = "https://example.com/agentrt"')
    return ""


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and url.isprintable()
        )
    except ValueError:
        return False


def _check_secret(entry: Entry[WebhookTable], key: str, text: str, report: Report) -> None:
    path = (*entry.path, key)
    try:
        n_bytes = len(signing_key(text))
    except ValueError:
        what = f"what follows {PREFIX} is not base64"
        report.problem(
            entry.source, path, what, fix=f"take it as it was made, with the = at its end; or {_HOW_TO_MAKE}"
        )
        return
    if text.startswith(PREFIX):
        if not SHORTEST_KEY <= n_bytes <= LONGEST_KEY:
            what = f"the key has {n_bytes} bytes, and receivers may want {SHORTEST_KEY} to {LONGEST_KEY}"
            report.warning(entry.source, path, f"webhooks.{entry.table.name}: {what}")
    elif n_bytes < _SHORTEST_TEXT:
        report.warning(entry.source, path, f'the secret of webhook "{entry.table.name}" is short enough to be guessed')


def _events(entry: Entry[WebhookTable], report: Report) -> tuple[WebhookEvent, ...]:
    meant: set[WebhookEvent] = set()
    for index, pattern in enumerate(entry.table.events):
        found = {event for event in EVENTS if fnmatchcase(event, pattern)}
        if not found:
            fix = did_you_mean(pattern, EVENTS, otherwise=f"there are {listed(EVENTS, last='and')}")
            report.problem(entry.source, (*entry.path, "events", index), f'there is no event "{pattern}"', fix=fix)
        meant |= found
    return tuple(event for event in EVENTS if event in meant)
