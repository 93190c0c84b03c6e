"""Who is let in, and what the others are told."""

from __future__ import annotations

import re

import pytest

from agentrt.access.keys import KeyRing, Principal, check_bind, new_key
from agentrt.config.schema import KeySpec
from agentrt.errors import AuthenticationError, ConfigError
from agentrt.secret import hash_key

KEY, OTHER = "sk-agentrt-0123456789abcdef", "sk-agentrt-fedcba9876543210"


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(
        [KeySpec(name="web", hash=hash_key(KEY)), KeySpec(name="batch", hash=hash_key(OTHER), project="night")]
    )


def test_a_key_opens_its_own_project(ring: KeyRing) -> None:
    assert ring.authenticate(f"Bearer {KEY}") == Principal("web", "default")
    assert ring.authenticate(f"bearer   {OTHER} ") == Principal("batch", "night")


def test_azures_clients_send_the_bare_key_in_a_header_of_its_own(ring: KeyRing) -> None:
    assert ring.authenticate(None, api_key=KEY) == Principal("web", "default")


def test_a_bearer_key_goes_before_the_bare_one(ring: KeyRing) -> None:
    with pytest.raises(AuthenticationError):
        ring.authenticate("Bearer wrong", api_key=KEY)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY])
def test_without_a_key_the_answer_says_how_to_send_one(ring: KeyRing, header: str | None) -> None:
    with pytest.raises(AuthenticationError, match="No API key was provided") as caught:
        ring.authenticate(header)
    assert "Authorization: Bearer" in caught.value.message
    assert (caught.value.status, caught.value.code, caught.value.type) == (401, None, "invalid_request_error")


@pytest.mark.parametrize(
    ("key", "shown"),
    [("sk-proj-this-is-not-ours-wxyz", "sk-…wxyz"), (KEY[:-1], "sk-…bcde"), (KEY + "x", "sk-…defx"), ("short", "***")],
)
def test_a_wrong_key_is_never_echoed_whole(ring: KeyRing, key: str, shown: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        ring.authenticate(f"Bearer {key}")
    assert caught.value.message == f"Incorrect API key provided: {shown}."
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


def test_keys_beyond_ascii_are_wrong_and_no_crash(ring: KeyRing) -> None:
    with pytest.raises(AuthenticationError):
        ring.authenticate("Bearer schlüssel-\udce9-0123456789")


@pytest.mark.parametrize("header", [None, "Bearer anything", "nonsense"])
def test_without_any_configured_key_everybody_is_let_in(header: str | None) -> None:
    assert KeyRing([]).authenticate(header).project == "default"


def test_a_new_key_fits_its_hash_and_no_two_are_alike() -> None:
    key, hashed = new_key()
    assert re.fullmatch(r"sk-agentrt-[\w-]{43}", key)
    assert KeyRing([KeySpec(name="new", hash=hashed)]).authenticate(f"Bearer {key}").key_name == "new"
    assert new_key()[0] != key


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LocalHost.", "::1", "[::1]"])
def test_a_service_without_keys_may_listen_to_its_own_machine(host: str) -> None:
    check_bind(host, [])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "localhost.example.org"])
def test_a_service_without_keys_may_not_listen_to_others(host: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no API key\n  fix: run `agentrt keys create`"):
        check_bind(host, [])
    check_bind(host, [KeySpec(name="web", hash=hash_key(KEY))])
