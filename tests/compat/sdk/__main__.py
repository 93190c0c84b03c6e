"""Plays every scenario against a URL: `python -m tests.compat.sdk http://127.0.0.1:8700/v1 KEY`."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
import traceback
from typing import cast

import openai
from openai import AsyncOpenAI, OpenAI

from tests.compat.sdk.scenario import all_scenarios


def main() -> None:
    url, key = sys.argv[1:3]
    print(json.dumps({"version": openai.__version__}), flush=True)
    with OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        for name, function in all_scenarios().items():
            began = time.monotonic()
            error = None
            try:
                if inspect.iscoroutinefunction(function):
                    asyncio.run(_play(function, url, key, name))
                else:
                    function(cast("object", client.with_options(default_headers={"x-scenario": name})))  # type: ignore[arg-type]
            except Exception:
                error = traceback.format_exc()
            seconds = round(time.monotonic() - began, 3)
            print(json.dumps({"scenario": name, "error": error, "seconds": seconds}), flush=True)


async def _play(function: object, url: str, key: str, name: str) -> None:
    headers = {"x-scenario": name}
    async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0, default_headers=headers) as client:
        await function(client)  # type: ignore[operator]


if __name__ == "__main__":
    main()
