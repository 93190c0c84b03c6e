"""What is secret, and how it is hidden."""

from __future__ import annotations

import msgspec
import pytest

from agentrt.secret import Secret, hash_key, is_secret_name, looks_like_secret, mask_key, redact

SECRETS = [
    "sk-proj-abcdefghijklmnop0123",
    "ghp_abcdefghijklmnopqrstuv0123456789",
    "github_pat_abcdefghijklmnopqrstuvwxyz",
    "glpat-abcdefghijklmnop0123",
    "xoxb-123456789012-abc",
    "AKIAABCDEFGHIJKLMNOP",
    "AIzaabcdefghijklmnopqrstuvwxyz0123456",
    "hf_abcdefghijklmnopqrstuv",
    "gsk_abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeK",
]


def test_a_secret_shows_itself_only_when_it_is_asked_to() -> None:
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {secret:>20}"
    assert str(Secret("postgresql://a:b@c", shown="postgresql://***@c")) == "postgresql://***@c"
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_secrets_are_equal_when_their_values_are() -> None:
    assert Secret("a") == Secret("a", shown="x")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize("secret", SECRETS)
def test_vendors_keys_are_recognised_and_masked(secret: str) -> None:
    text = f"key={secret}, rest"
    assert looks_like_secret(text)
    assert redact(text) == "key=***, rest"
    assert redact(text, keep_length=True) == f"key={'*' * len(secret)}, rest"


def test_bearer_tokens_and_passwords_of_urls_are_masked() -> None:
    assert redact("Authorization: Bearer abc.def-123456") == "Authorization: Bearer ***"
    assert redact("postgresql://app:pw@db:5432/x?y=z@w") == "postgresql://***@db:5432/x?y=z@w"


@pytest.mark.parametrize(
    "text",
    [
        "run_0CKpG3VQd1W2aVgPhQGiM5Xz thread_abc asst_helper file-abc123",
        "sha256:" + "0123456789abcdef" * 4,
        "http://127.0.0.1:8000/v1 sqlite:////var/lib/agentrt.db",
        "sk-short risk-taking-behaviour-in-adolescents",
    ],
)
def test_ids_hashes_and_addresses_are_no_secrets(text: str) -> None:
    assert not looks_like_secret(text)
    assert redact(text) == text


@pytest.mark.parametrize(
    "name", ["key", "api_key", "apikey", "API-Key", "x-api-key", "Authorization", "gh_token", "Cookie"]
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["keys", "prompt_tokens", "monkey", "keyboard", "max_tokens"])
def test_counts_and_other_words_are_not_names_of_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_a_masked_key_can_be_recognised_and_not_guessed() -> None:
    assert mask_key("sk-agentrt-0123456789abcd") == "sk-…abcd"
    assert mask_key("short-key") == "***"


def test_a_hash_says_how_it_was_made() -> None:
    assert hash_key("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
