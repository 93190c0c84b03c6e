"""The one httpx client: transport, pool, timeouts, proxies. Models and webhooks use it; home of httpx and aiohttp.

The API is httpx's, the work is done by aiohttp (`httpx-aiohttp`): a call costs 0.6 times httpx's own transport alone
and 0.17 times with 64 at once. Both are imported when a client is opened: they take longer than the rest of agentrt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import httpx

_shared: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]] = {}


def open_client(
    *,
    connect_timeout_s: float = 10.0,
    read_timeout_s: float = 60.0,
    pool_timeout_s: float = 30.0,
    max_connections: int = 512,
    keepalive_s: float = 30.0,
    proxy: str | None = None,
    trust_env: bool = True,
    verify: ssl.SSLContext | bool = True,
) -> httpx.AsyncClient:
    """A client to share by everything that talks HTTP; the caller closes it (`async with` or `aclose`).

    read_timeout_s is the longest silence between two reads, not the length of an answer. trust_env: HTTP_PROXY,
    HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE count; `proxy` is used for everything and goes before them.
    Redirects are not followed.
    """
    import httpx

    if verify is True:
        # Made once: each transport, and there is one for every proxy, would load the certificates for 20 ms of CPU.
        verify = httpx.create_ssl_context(trust_env=trust_env)
    return _client_class()(
        verify=verify,
        trust_env=trust_env,
        proxy=proxy,
        timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s, pool=pool_timeout_s),
        limits=httpx.Limits(max_connections=max_connections, keepalive_expiry=keepalive_s),
        follow_redirects=False,
    )


async def shared_client() -> httpx.AsyncClient:
    """The running loop's own client, for programs that open none. It is closed when the loop shuts down."""
    loop = asyncio.get_running_loop()
    if loop not in _shared:
        client = open_client()
        keeper = _close_with_loop(client, loop)
        _shared[loop] = client, keeper
        await anext(keeper)
    return _shared[loop][0]


async def _close_with_loop(client: httpx.AsyncClient, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
    # asyncio.run closes every generator that is still open: the one hook at a loop's end that needs no owner.
    try:
        yield
    finally:
        del _shared[loop]
        await client.aclose()


def network_errors() -> tuple[type[Exception], ...]:
    """Everything a request or a read of its body raises when the network or the other side fails.

    httpx-aiohttp lets some of aiohttp's own errors through (a malformed status line, for one).
    """
    import aiohttp
    import httpx

    return (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)


def _client_class() -> type[httpx.AsyncClient]:
    """httpx over aiohttp, blind to cookies: an API needs none, and looking for them costs 30 µs a call."""
    import httpx
    from httpx_aiohttp import HttpxAiohttpClient

    class NoCookies(httpx.Cookies):
        def extract_cookies(self, response: httpx.Response) -> None:
            return None

    class Client(HttpxAiohttpClient):
        cookies = NoCookies()  # type: ignore[override]  # nobody sets it

    return Client
