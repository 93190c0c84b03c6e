"""What went wrong with a model server, in words a person can act on: statuses and broken connections → ModelError.

Not here: whether and when to try again (retry.py). The server's own words are always shown, shortened and without keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from agentrt.errors import ModelError

Reason: TypeAlias = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]

_MAX_SHOWN_CHARS = 400
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_PROMPT_STATUSES = frozenset({400, 413, 415, 422})
# How OpenAI, vLLM, llama.cpp, Ollama, LM Studio, TGI, Gemini and Mistral say that the prompt does not fit.
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context (length|size|window)|too many tokens|prompt is too long"
    r"|input is too long|exceeds? (the )?(maximum|max|limit) .{0,20}tokens|reduce the length|maximum model length"
    r"|input token count|model token limit|too large to process",
    re.IGNORECASE,
)
_KEY_LIKE = re.compile(r"\b(?:(?:sk|pk|gsk|xai|hf)[-_]|AIza)[\w*.-]{12,}|(?<=Bearer )\S+")
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class ModelServer(msgspec.Struct, frozen=True):
    """The server as messages name it.

    url has no query and no password; table is its [models.X] name, "" outside a project; secrets are never shown.
    given: what the model is given to read.
    """

    url: str
    model: str
    table: str = ""
    has_key: bool = False
    secrets: tuple[str, ...] = ()
    given: str = "The conversation"

    def setting(self, key: str) -> str:
        """Where a person changes `key`."""
        return f"{key} of [models.{self.table}]" if self.table else key

    def redact(self, text: str) -> str:
        """The text on one line, shortened, without anything that is or looks like a key."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = _KEY_LIKE.sub("***", " ".join(text.split()))
        return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"


class ServerWords(msgspec.Struct, frozen=True):
    """An error as the server put it. codes are its code and type; status is the number among them, if one is."""

    text: str = ""
    codes: tuple[str, ...] = ()
    status: int | None = None

    @property
    def says_too_long(self) -> bool:
        return any(_TOO_LONG.search(words) for words in (self.text, *self.codes))

    @property
    def says_quota_is_used_up(self) -> bool:
        return "insufficient_quota" in self.codes


def status_failure(
    server: ModelServer,
    status: int,
    body: bytes,
    *,
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
) -> ModelError:
    """The error behind an HTTP status other than 2xx. should_retry is the server's own wish, if it told one."""
    words = read_words(body)
    transient = (status in _TRANSIENT_STATUSES or status >= 500) if should_retry is None else should_retry
    said = _quoted(server.redact(words.text))
    # A rate limit may say "too many tokens" as well; it passes.
    if words.says_too_long and status != 429:
        return _too_long(server, said, status)
    if words.says_quota_is_used_up or status == 402:
        text = f"The model server {server.url} says that the quota is used up ({status}){said}"
        return ModelError(text, reason="rate_limit_exceeded", http_status=status, code="insufficient_quota")
    if status == 429:
        text = f"The model server {server.url} is limiting requests (429){said}"
        return ModelError(
            text, reason="rate_limit_exceeded", http_status=429, retry_after_s=retry_after_s, is_retryable=transient
        )
    reason: Reason = "invalid_prompt" if status in _PROMPT_STATUSES else "server_error"
    text = _status_text(server, status, said)
    return ModelError(text, reason=reason, http_status=status, retry_after_s=retry_after_s, is_retryable=transient)


def _status_text(server: ModelServer, status: int, said: str) -> str:
    url = server.url
    match status:
        case 401 | 403 if not server.has_key:
            return f"The model server {url} wants a key ({status}){said} Set {server.setting('api_key')}."
        case 401 | 403:
            return f"The model server {url} refused the key ({status}){said} Check {server.setting('api_key')}."
        case 404:
            hint = f"Check {server.setting('model')} and base_url."
            return f'The model server {url} has no model "{server.model}" or no such address (404){said} {hint}'
        case _ if 300 <= status < 400:
            return f"The model server {url} points elsewhere ({status}){said} Correct {server.setting('base_url')}."
        case _ if status >= 500 or status in _TRANSIENT_STATUSES:
            return f"The model server {url} failed ({status}){said}"
        case _:
            return f"The model server {url} refused the request ({status}){said}"


def said_failure(server: ModelServer, error: object, *, n_chunks: int) -> ModelError:
    """The error behind an error object inside an answer that had begun with status 200."""
    words = _words_of(error)
    said = _quoted(server.redact(words.text))
    status = words.status
    if words.says_too_long and status != 429:
        return _too_long(server, said, status)
    if words.says_quota_is_used_up:
        text = f"The model server {server.url} says that the quota is used up{said}"
        return ModelError(text, reason="rate_limit_exceeded", http_status=status, code="insufficient_quota")
    limited = status == 429 or any("rate_limit" in code for code in words.codes)
    refused = status is not None and 400 <= status < 500 and status not in _TRANSIENT_STATUSES
    prompt = status in _PROMPT_STATUSES
    reason: Reason = "rate_limit_exceeded" if limited else "invalid_prompt" if prompt else "server_error"
    where = f"after {_chunks(n_chunks)}" if n_chunks else "before the first chunk"
    text = f"The model server {server.url} gave up {where}{said}"
    return ModelError(text, reason=reason, http_status=status, is_retryable=not refused)


def unreadable_failure(server: ModelServer, why: str, data: bytes, *, n_chunks: int) -> ModelError:
    """The error when an answer, or a chunk of it, is not what chat completions are made of."""
    shown = server.redact(_plain(data))
    where = f"Chunk {n_chunks + 1} from" if n_chunks else "The answer of"
    text = f"{where} the model server {server.url} is {why}: {shown or '(empty)'}"
    return ModelError(text, is_retryable=False)


def connection_failure(server: ModelServer, error: Exception, *, timeout_s: float, n_chunks: int | None) -> ModelError:
    """The error behind a network exception. n_chunks is None before the answer's head, else what had come by then."""
    text, is_retryable = _connection_text(server, error, timeout_s, n_chunks)
    return ModelError(text, is_retryable=is_retryable)


def hang_up_failure(server: ModelServer, *, n_chunks: int | None) -> ModelError:
    """The error when the connection ended before the answer did."""
    return ModelError(_hang_up_text(server, n_chunks), is_retryable=True)


def _connection_text(server: ModelServer, error: Exception, timeout_s: float, n_chunks: int | None) -> tuple[str, bool]:
    import aiohttp
    import httpx

    # httpx-aiohttp maps several of aiohttp's classes to one of httpx's (a hang-up becomes a ConnectTimeout):
    # what really happened is the cause.
    cause = error.__cause__ or error
    url = server.url
    match cause:
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of the model server {url} is not trusted: {_detail(server, cause)}", False
        case aiohttp.ClientSSLError():
            return f"TLS with the model server {url} failed; does it speak https? {_detail(server, cause)}", False
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return f"The proxy on the way to the model server {url} failed: {_detail(server, cause)}", True
        case aiohttp.ClientConnectorDNSError():
            return f"The name of the model server {url} cannot be resolved. Check {server.setting('base_url')}.", True
        case aiohttp.ClientConnectorError():
            return f"Cannot reach the model server {url}: {_detail(server, cause)} Is it running?", True
        case aiohttp.SocketTimeoutError():
            where = f"in mid-answer after {_chunks(n_chunks)}" if n_chunks else "and no answer"
            return f"The model server {url} sent nothing for {timeout_s:g} s {where}", True
        case aiohttp.ServerTimeoutError() | httpx.TimeoutException():
            return f"The model server {url} did not accept a connection in time", True
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | ConnectionError():
            return _hang_up_text(server, n_chunks), True
        case httpx.InvalidURL() | aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return f"{url} is not the address of a model server. Check {server.setting('base_url')}.", False
        case _:
            return f"The model server {url} does not speak proper HTTP: {_detail(server, cause)}", True


def _hang_up_text(server: ModelServer, n_chunks: int | None) -> str:
    where = f"in mid-answer after {_chunks(n_chunks)}" if n_chunks else "without an answer"
    return f"The model server {server.url} closed the connection {where}"


def _chunks(n: int) -> str:
    return "1 chunk" if n == 1 else f"{n} chunks"


def _too_long(server: ModelServer, said: str, status: int | None) -> ModelError:
    text = f'{server.given} is too long for the model "{server.model}"{said}'
    return ModelError(text, reason="invalid_prompt", http_status=status, code="context_length_exceeded")


def read_words(body: bytes) -> ServerWords:
    """What an error body says: OpenAI's envelope, FastAPI's `detail`, a list of envelopes, plain text or HTML."""
    try:
        parsed = msgspec.json.decode(body.decode("utf-8", "replace"))
    except msgspec.DecodeError:
        return ServerWords(_plain(body))
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, dict) and parsed.get("error"):
        parsed = parsed["error"]
    return _words_of(parsed)


def _words_of(error: object) -> ServerWords:
    if not isinstance(error, Mapping):
        return ServerWords(error if isinstance(error, str) else msgspec.json.encode(error).decode())
    text = next((error[key] for key in ("message", "detail", "error") if error.get(key) is not None), error)
    # Only strings are the server's prose; a list of pydantic's errors or an object is shown as it is.
    shown = text if isinstance(text, str) else msgspec.json.encode(text).decode()
    codes = [error.get("code"), error.get("type"), error.get("status")]
    numbers = [int(code) for code in codes if isinstance(code, int) or (isinstance(code, str) and code.isdigit())]
    named = tuple(code for code in codes if isinstance(code, str) and not code.isdigit())
    return ServerWords(shown, named, next((n for n in numbers if 100 <= n < 600), None))


def _plain(body: bytes) -> str:
    """The text of a body: a page's title if it is HTML, else its words."""
    text = body[:20_000].decode("utf-8", "replace")
    if not text.lstrip().startswith("<"):
        return text
    title = _TITLE.search(text)
    return title.group(1) if title else _TAG.sub(" ", text)


def _detail(server: ModelServer, error: BaseException) -> str:
    reason = getattr(error, "os_error", None) or error
    text = server.redact(str(getattr(reason, "strerror", None) or reason) or type(error).__name__)
    return text if text.endswith(".") else f"{text}."


def _quoted(said: str) -> str:
    if not said:
        return "."
    return f": {said}" if said[-1] in ".!?…" else f": {said}."
