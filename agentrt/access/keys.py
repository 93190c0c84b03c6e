"""API keys: who a request comes from, and making new ones. Only hashes of keys are kept."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from agentrt.config.schema import DEFAULT_PROJECT, KeySpec
from agentrt.errors import AuthenticationError, ConfigError
from agentrt.secret import hash_key, mask_key

KEY_PREFIX: Final = "sk-agentrt-"
OPEN_KEY_NAME: Final = "open"


class Principal(msgspec.Struct, frozen=True):
    """Who asks: the name of the key, and the project whose objects it may see."""

    key_name: str
    project: str


class KeyRing:
    """The keys of the service. Without any, everybody is let in; `check_bind` keeps such a service private."""

    def __init__(self, keys: Sequence[KeySpec]) -> None:
        self._keys = [(key.hash.encode(), Principal(key.name, key.project)) for key in keys]
        self._open = Principal(OPEN_KEY_NAME, DEFAULT_PROJECT)

    def authenticate(self, authorization: str | None, *, api_key: str | None = None) -> Principal:
        """Who sent these headers: `Authorization` as it came, and `api-key`, where Azure's clients put the bare key.

        Raises AuthenticationError: code None for no key, `invalid_api_key` for a wrong one.
        """
        if not self._keys:
            return self._open
        key = _bearer_token(authorization) or (api_key or "").strip()
        if not key:
            raise AuthenticationError(
                "No API key was provided. Send your key in the Authorization header: Authorization: Bearer YOUR_KEY"
            )
        hashed = hash_key(key).encode()
        found: Principal | None = None
        for known, principal in self._keys:
            # All are compared, so that the time says nothing about which one was near.
            if hmac.compare_digest(known, hashed):
                found = principal
        if found is None:
            raise AuthenticationError(f"Incorrect API key provided: {mask_key(key)}.", code="invalid_api_key")
        return found


def new_key() -> tuple[str, str]:
    """A new key and its hash for agents.toml. The key has 256 random bits and is shown only once."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, hash_key(key)


def check_bind(host: str, keys: Sequence[KeySpec]) -> None:
    """Raises ConfigError if others could reach the address and anybody would be let in."""
    if keys or is_loopback(host):
        return
    what = f'server.host: "{host}" can be reached from other machines, and there is no API key'
    fix = "run `agentrt keys create` and put what it prints into agents.toml, or bind to 127.0.0.1"
    raise ConfigError([f"{what}\n  fix: {fix}"])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name counts as public: only `localhost` is known."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _bearer_token(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
