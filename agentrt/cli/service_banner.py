"""What `agentrt serve` says when it is ready: the address, what is on and off and why, what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from agentrt.cli.screen import Screen
from agentrt.config.schema import Config
from agentrt.runtime.health import Health, Part
from agentrt.runtime.leases import Role

_LABEL = 10
_ROLES: Mapping[Role, str] = {"api": "API only: workers drive the runs", "worker": "worker"}


def banner_lines(screen: Screen, health: Health, config: Config, url: str | None, *, role: Role) -> list[str]:
    """The whole text, line by line. url: None for a worker without HTTP."""
    head = [screen.paint("agentrt", "strong") + f" {health.version}"]
    head += [screen.paint(url, "accent")] if url is not None else []
    lines = [" · ".join([*head, *([_ROLES[role]] if role in _ROLES else [])]), ""]
    lines += _row(screen, "models", _parts(screen, health.models))
    lines += _row(screen, "agents", [", ".join(config.agents)])
    lines += _row(screen, "tools", _parts(screen, health.tools))
    if health.webhooks:
        lines += _row(screen, "webhooks", _parts(screen, health.webhooks))
    if len(health.sandboxes) > 1:
        lines += _row(screen, "sandbox", _parts(screen, health.sandboxes))
    lines += _row(screen, "keys", [_keys(config)])
    lines += _row(screen, "data", [health.database])
    lines += [f"{screen.paint('warning', 'warn')}   {warning}" for warning in health.warnings]
    if role == "worker":
        return [*lines, "", screen.paint("drives the runs of every process on this database · Ctrl-C stops it", "dim")]
    key = f'the key "{config.server.keys[0].name}"' if config.server.keys else "any-text-will-do"
    shown_key = f"…    # {key}" if config.server.keys else key
    lines += [
        "",
        screen.paint("point an app of the official SDKs at it:", "dim"),
        f"  export OPENAI_BASE_URL={url}{config.server.root_path}/v1",
        f"  export OPENAI_API_KEY={shown_key}",
        "",
        screen.paint("agentrt chat talks to it from another terminal · Ctrl-C stops it", "dim"),
    ]
    return lines


def _parts(screen: Screen, parts: Mapping[str, Part]) -> list[str]:
    """What is on, in one text; each that is off on a line of its own."""
    on = [f"{name} ({part.why})" if part.why else name for name, part in parts.items() if part.on]
    off: dict[str, list[str]] = {}
    for name, part in parts.items():
        if not part.on:
            off.setdefault(part.why or "", []).append(name)
    lines = [", ".join(on)] if on else []
    return lines + [f"{', '.join(names)} {screen.paint('off', 'warn')}: {why}" for why, names in off.items()]


def _keys(config: Config) -> str:
    names = ", ".join(spec.name for spec in config.server.keys)
    return names or "none: everybody on this machine may come in, and nobody else"


def _row(screen: Screen, label: str, texts: Sequence[str]) -> list[str]:
    """A label and its texts; long ones go on below, under their beginning."""
    width = max(40, screen.width - _LABEL)
    found: list[str] = []
    for text in texts or ["none"]:
        for line in wrap(text, width, break_long_words=False, break_on_hyphens=False):
            found.append(f"{'' if found else label:<{_LABEL}}{line}")
    return [screen.paint(found[0][:_LABEL], "dim") + found[0][_LABEL:], *found[1:]]
