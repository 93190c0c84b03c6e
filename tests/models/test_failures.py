"""What a person reads when a model server fails, and what the run's last_error says."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agentrt.http import open_client
from agentrt.models.chat_completions import ChatCompletions
from agentrt.models.client import TextChunk
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Reply, body_reply, delta, error, no_answer, stream, text
from tests.models.talk import answer, failure, text_of, until_failure

KEY = "sk-proj-Abc123Def456Ghi789"
TLS = Path(__file__).parent / "tls"


def client_of(http: httpx.AsyncClient, url: str, **options: Any) -> ChatCompletions:
    return ChatCompletions(http, model="small", base_url=url, api_key=KEY, table="fast", **options)


async def said(http: httpx.AsyncClient, reply: Reply, **options: Any) -> tuple[str, str, bool]:
    """(message without the server's address, reason, whether it is worth another try) of a reply."""
    async with FakeModelServer([reply]) as server:
        wrong = await failure(client_of(http, server.url, **options))
        return wrong.message.replace(f"{server.url}/chat/completions", "URL"), wrong.reason, wrong.is_retryable


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_says_where_the_key_is_set(http: httpx.AsyncClient, status: int) -> None:
    words = "Incorrect API key provided: ***. Check api_key of [models.fast]."
    assert await said(http, error(status, f"Incorrect API key provided: {KEY}.")) == (
        f"The model server URL refused the key ({status}): {words}",
        "server_error",
        False,
    )


async def test_a_missing_key_is_told_apart_from_a_wrong_one(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([error(401, "")]) as server:
        wrong = await failure(ChatCompletions(http, model="small", base_url=server.url))
    assert wrong.message == f"The model server {server.url}/chat/completions wants a key (401). Set api_key."


async def test_an_unknown_model_is_named_with_its_place(http: httpx.AsyncClient) -> None:
    hint = "Check model of [models.fast] and base_url."
    assert await said(http, error(404, "try pulling it first")) == (
        f'The model server URL has no model "small" or no such address (404): try pulling it first. {hint}',
        "server_error",
        False,
    )


TOO_LONG = [
    error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    error(400, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"),
    error(400, "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
    error(500, "the request exceeds the available context size. try increasing it", code="exceed_context_size_error"),
    error(400, "input length exceeds context length"),
    error(413, "Please reduce the length of the messages"),
    error(400, "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."),
]


@pytest.mark.parametrize("reply", TOO_LONG)
async def test_a_conversation_that_does_not_fit_is_the_prompts_fault(http: httpx.AsyncClient, reply: Reply) -> None:
    async with FakeModelServer([reply]) as server:
        wrong = await failure(client_of(http, server.url))
    assert wrong.message.startswith('The conversation is too long for the model "small": ')
    assert (wrong.reason, wrong.code, wrong.is_retryable) == ("invalid_prompt", "context_length_exceeded", False)


async def test_any_other_refusal_shows_the_servers_words(http: httpx.AsyncClient) -> None:
    assert await said(http, error(400, "Invalid value for 'temperature'")) == (
        "The model server URL refused the request (400): Invalid value for 'temperature'.",
        "invalid_prompt",
        False,
    )


async def test_too_many_requests_is_a_rate_limit_with_its_wait(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([error(429, "Slow down", headers={"retry-after": "7"})]) as server:
        wrong = await failure(client_of(http, server.url))
    assert "is limiting requests (429): Slow down." in wrong.message
    assert (wrong.reason, wrong.http_status, wrong.retry_after_s) == ("rate_limit_exceeded", 429, 7.0)
    assert wrong.is_retryable


async def test_a_quota_that_is_used_up_is_not_worth_another_try(http: httpx.AsyncClient) -> None:
    text, reason, is_retryable = await said(http, error(429, "Check your plan", code="insufficient_quota"))
    assert text == "The model server URL says that the quota is used up (429): Check your plan."
    assert (reason, is_retryable) == ("rate_limit_exceeded", False)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 529])
async def test_passing_troubles_are_worth_another_try(http: httpx.AsyncClient, status: int) -> None:
    assert await said(http, error(status, "Overloaded")) == (
        f"The model server URL failed ({status}): Overloaded.",
        "server_error",
        True,
    )


async def test_the_servers_own_wish_decides_about_another_try(http: httpx.AsyncClient) -> None:
    assert (await said(http, error(500, "Broken", headers={"x-should-retry": "false"})))[2] is False
    assert (await said(http, error(400, "Again", headers={"x-should-retry": "true"})))[2] is True


async def test_a_redirect_says_what_to_correct(http: httpx.AsyncClient) -> None:
    text, reason, _ = await said(http, body_reply(b"", status=301, headers={"location": "https://else.test/v1"}))
    assert text == "The model server URL points elsewhere (301). Correct base_url of [models.fast]."
    assert reason == "server_error"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"error": "model is loading"}', "model is loading"),
        (b'{"object": "error", "message": "bad template", "code": 400}', "bad template"),
        (b'{"detail": "Not authenticated"}', "Not authenticated"),
        (b'{"detail": [{"loc": ["body", "n"], "msg": "too big"}]}', '[{"loc":["body","n"],"msg":"too big"}]'),
        (b'[{"error": {"code": 503, "message": "Gemini is busy", "status": "UNAVAILABLE"}}]', "Gemini is busy"),
        (b"upstream   connect\nerror", "upstream connect error"),
        (b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        (b"<p>Sorry<script>x()</script></p>", "Sorry"),
        (b"caf\xc3", "caf\ufffd"),
        (b'{"unknown": 1}', '{"unknown":1}'),
        (b"word " * 1000, "word " * 79 + "word…"),
    ],
)
async def test_error_bodies_of_all_kinds_are_read(http: httpx.AsyncClient, body: bytes, shown: str) -> None:
    message, _, _ = await said(http, body_reply(body, status=503))
    assert message.removeprefix("The model server URL failed (503): ").rstrip(".") == shown


@pytest.mark.parametrize(
    "leak", [KEY, "Bearer abc.def", "gsk_0123456789abcdef", "AIzaSyA1234567890abc", "my-own-header-key"]
)
async def test_no_key_is_ever_shown(http: httpx.AsyncClient, leak: str) -> None:
    options = {"headers": {"x-key": "my-own-header-key"}}
    for reply in (error(401, f"bad key {leak} here"), stream({"error": f"bad key {leak} here"})):
        message, _, _ = await said(http, reply, **options)
        assert "bad key" in message
        assert "here" in message
        assert leak.removeprefix("Bearer ") not in message


async def test_an_address_is_shown_without_its_password_and_query(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([error(500, "x")]) as server:
        url = server.url.replace("http://", "http://me:geheim@") + "?token=geheim"
        wrong = await failure(client_of(http, url))
    assert "geheim" not in wrong.message


async def test_an_error_in_the_stream_ends_the_answer_after_what_was_said(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="Well, "), delta(content="so"), {"error": {"message": "GPU lost", "code": 500}})
    async with FakeModelServer([reply]) as server:
        chunks, wrong = await until_failure(client_of(http, server.url))
    assert text_of(chunks) == "Well, so"
    assert wrong.message == f"The model server {server.url}/chat/completions gave up after 2 chunks: GPU lost."
    assert wrong.reason == "server_error"


@pytest.mark.parametrize(
    ("payload", "reason", "is_retryable"),
    [
        ({"error": {"message": "x", "code": 429}}, "rate_limit_exceeded", True),
        ({"error": {"message": "x", "type": "rate_limit_error"}}, "rate_limit_exceeded", True),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, "rate_limit_exceeded", False),
        ({"error": {"message": "x", "code": 400, "type": "BadRequestError"}}, "invalid_prompt", False),
        ({"error": {"message": "maximum context length is 10", "code": 400}}, "invalid_prompt", False),
        ({"error": {"message": "x", "code": "503"}}, "server_error", True),
        ({"error": "x"}, "server_error", True),
        ({"object": "error", "message": "x", "code": 400}, "invalid_prompt", False),
        ({"detail": "x"}, "server_error", True),
        ({"choices": [{"delta": {}, "finish_reason": "error"}]}, "server_error", True),
    ],
)
async def test_errors_behind_a_status_200_keep_their_meaning(
    http: httpx.AsyncClient, payload: object, reason: str, is_retryable: bool
) -> None:
    assert (await said(http, stream(payload)))[1:] == (reason, is_retryable)
    whole = body_reply(msgspec.json.encode(payload))
    assert (await said(http, whole))[1:] == (reason, is_retryable)


async def test_a_malformed_chunk_is_shown(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="a"), b'data: {"choices": [{"delta"\n\n')
    async with FakeModelServer([reply]) as server:
        chunks, wrong = await until_failure(client_of(http, server.url))
    assert chunks == [TextChunk("a")]
    url = f"{server.url}/chat/completions"
    assert wrong.message == f'Chunk 2 from the model server {url} is not JSON: {{"choices": [{{"delta"'
    assert not wrong.is_retryable


async def test_json_that_is_no_completion_says_what_is_wrong_with_it(http: httpx.AsyncClient) -> None:
    text, _, _ = await said(http, stream({"choices": [{"delta": {"content": 7}}]}))
    assert text.startswith("The answer of the model server URL is not a chat completion (Expected `str | array | null`")
    text, _, _ = await said(http, body_reply(b'{"models": []}'))
    assert text == 'The answer of the model server URL is JSON, but not a chat completion: {"models": []}'


async def test_a_web_page_is_not_an_answer(http: httpx.AsyncClient) -> None:
    page = b"<!doctype html><html><title>Please sign in</title></html>"
    for content_type in ("text/html", "text/event-stream"):
        text, reason, is_retryable = await said(http, body_reply(page, content_type=content_type))
        assert text == "The answer of the model server URL is a web page, not a chat completion: Please sign in"
        assert (reason, is_retryable) == ("server_error", False)


async def test_plain_words_are_not_an_answer(http: httpx.AsyncClient) -> None:
    text, _, _ = await said(http, body_reply(b"model is still loading", content_type="text/plain"))
    assert text == "The answer of the model server URL is not a chat completion: model is still loading"


@pytest.mark.parametrize(
    "reply",
    [
        no_answer("hang_up"),
        Reply(pieces=(), ending="hang_up"),
        Reply(pieces=()),
        Reply(pieces=(), framing="until_close"),
        stream(b": still there\n\n", done=False, ending="hang_up"),
    ],
)
async def test_a_hang_up_before_the_answer(http: httpx.AsyncClient, reply: Reply) -> None:
    assert await said(http, reply) == (
        "The model server URL closed the connection without an answer",
        "server_error",
        True,
    )


@pytest.mark.parametrize("framing", ["chunked", "until_close"])
async def test_a_hang_up_in_mid_answer(http: httpx.AsyncClient, framing: Any) -> None:
    reply = stream(delta(role="assistant"), delta(content="a"), delta(content="b"), done=False, ending="hang_up")
    async with FakeModelServer([msgspec.structs.replace(reply, framing=framing)]) as server:
        chunks, wrong = await until_failure(client_of(http, server.url))
    assert text_of(chunks) == "ab"
    url = f"{server.url}/chat/completions"
    assert wrong.message == f"The model server {url} closed the connection in mid-answer after 3 chunks"


async def test_a_hang_up_in_the_middle_of_a_chunk(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="a"), b'data: {"choices": [{"del', done=False, ending="hang_up")
    for framing in ("chunked", "until_close"):
        async with FakeModelServer([msgspec.structs.replace(reply, framing=framing)]) as server:
            _, wrong = await until_failure(client_of(http, server.url))
        assert wrong.message.endswith("closed the connection in mid-answer after 1 chunk")


async def test_silence_before_the_answer(http: httpx.AsyncClient) -> None:
    assert await said(http, no_answer("silence"), timeout_s=0.05) == (
        "The model server URL sent nothing for 0.05 s and no answer",
        "server_error",
        True,
    )


async def test_silence_in_mid_answer(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="a"), done=False, ending="silence")
    async with FakeModelServer([reply]) as server:
        chunks, wrong = await until_failure(client_of(http, server.url, timeout_s=0.05))
        await server.wait_for_cut_off()
    assert chunks == [TextChunk("a")]
    assert wrong.message.endswith("sent nothing for 0.05 s in mid-answer after 1 chunk")


async def test_a_server_that_is_not_running(http: httpx.AsyncClient) -> None:
    async with FakeModelServer() as server:
        url = server.url
    wrong = await failure(client_of(http, url))
    assert wrong.message.startswith(f"Cannot reach the model server {url}/chat/completions: ")
    assert wrong.message.endswith("Is it running?")
    assert (wrong.reason, wrong.http_status, wrong.is_retryable) == ("server_error", None, True)


async def test_a_name_that_nobody_knows(http: httpx.AsyncClient) -> None:
    wrong = await failure(client_of(http, "http://no-such-host.invalid/v1"))
    assert wrong.message == (
        "The name of the model server http://no-such-host.invalid/v1/chat/completions cannot be resolved. "
        "Check base_url of [models.fast]."
    )


async def test_something_that_does_not_speak_http(http: httpx.AsyncClient) -> None:
    text, _, _ = await said(http, Reply(pieces=(b"220 smtp.example ESMTP\r\n\r\n",), framing="none"))
    assert text.startswith("The model server URL does not speak proper HTTP: ")


async def test_an_address_that_is_none(http: httpx.AsyncClient) -> None:
    wrong = await failure(client_of(http, "ftp://example.test/v1"))
    assert wrong.message.endswith("is not the address of a model server. Check base_url of [models.fast].")
    assert not wrong.is_retryable


async def test_https_where_only_http_is_spoken(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([text("ok")]) as server:
        wrong = await failure(client_of(http, server.url.replace("http://", "https://")))
    assert "does it speak https?" in wrong.message
    assert not wrong.is_retryable


@pytest.fixture
def own_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for(http: httpx.AsyncClient, own_certificate: ssl.SSLContext) -> None:
    async with FakeModelServer([text("ok")], ssl_context=own_certificate) as server:
        wrong = await failure(client_of(http, server.url))
    assert wrong.message.startswith(f"The certificate of the model server {server.url}/chat/completions is not trusted")
    assert "certificate verify failed" in wrong.message
    assert not wrong.is_retryable


async def test_a_certificate_that_is_trusted(own_certificate: ssl.SSLContext) -> None:
    trusting = ssl.create_default_context(cafile=TLS / "certificate.pem")
    async with (
        FakeModelServer([text("Hello", n_chunks=5)], ssl_context=own_certificate) as server,
        open_client(verify=trusting, trust_env=False) as http,
    ):
        assert text_of(await answer(client_of(http, server.url))) == "Hello"
