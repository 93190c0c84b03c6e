"""One call of one tool: checked, limited, off the event loop when synchronous, and always a ToolResult."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

from agentrt.engine.message import ToolCall, ToolResult
from agentrt.suggest import perhaps
from agentrt.toolkit.arguments import Refusal
from agentrt.toolkit.complaint import shorten
from agentrt.toolkit.context import Context
from agentrt.toolkit.failure import describe
from agentrt.toolkit.output import MAX_ITEMS, fit, render, render_items
from agentrt.toolkit.threads import CloggedError, ExpiredError, WorkerThreads
from agentrt.toolkit.tool import Tool

log = logging.getLogger(__name__)

_THREADS = WorkerThreads()


async def invoke(
    tool: Tool | None,
    call: ToolCall,
    context: Context[Any],
    *,
    timeout_s: float | None = None,
    max_output_bytes: int = 262_144,
    known_names: Iterable[str] = (),
) -> ToolResult:
    """Make a model's call. Whatever goes wrong is a result that the model reads; raises nothing but CancelledError.

    tool is None when no tool has the call's name; known_names are then suggested. timeout_s is a limit beside the
    tool's own, the smaller one counts. ToolResult.error: `unknown_tool`, `invalid_json`, `invalid_arguments`,
    `exception`, `timeout`, or None.

    A synchronous function that is given up goes on in its thread: Python cannot stop it. An async one is cancelled;
    one that blocks the event loop, or that refuses to be cancelled, is beyond this function's reach.
    """
    if tool is None:
        return ToolResult(call.id, _unknown(call.name, tuple(known_names)), "unknown_tool")
    limit_s = min((limit for limit in (tool.timeout_s, timeout_s) if limit is not None), default=None)
    try:
        arguments = tool.reader.read(call.arguments)
        if isinstance(arguments, Refusal):
            return ToolResult(call.id, fit(arguments.text, max_output_bytes), arguments.code)
        args, kwargs = tool.signature.bind(arguments, context, tool.options)
        run = _run_on_loop if tool.is_async else _run_in_thread
        output = await run(tool, args, kwargs, limit_s)
        return ToolResult(call.id, fit(output, max_output_bytes))
    except (ExpiredError, CloggedError) as error:
        text, code = _late(tool.name, error, limit_s), "timeout"
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        text, code = _failed(tool, call, error), "exception"  # the function's own: nobody cancelled this task
    except (Exception, SystemExit) as error:
        text, code = _failed(tool, call, error), "exception"
    return ToolResult(call.id, fit(text, max_output_bytes), code)


async def _run_on_loop(tool: Tool, args: list[object], kwargs: dict[str, object], limit_s: float | None) -> str:
    return await _finish(lambda: tool.function(*args, **kwargs), limit_s)


async def _run_in_thread(tool: Tool, args: list[object], kwargs: dict[str, object], limit_s: float | None) -> str:
    loop = asyncio.get_running_loop()
    started = loop.time()
    work = partial(_call_and_render, tool, args, kwargs)
    output = await _THREADS.run(work, owner=id(tool.function), timeout_s=limit_s)
    if isinstance(output, str):
        return output
    # A plain function may still return something to await: a decorated coroutine function does.
    return await _finish(lambda: output, None if limit_s is None else limit_s - (loop.time() - started))


def _call_and_render(tool: Tool, args: list[object], kwargs: dict[str, object]) -> object:
    value = tool.function(*args, **kwargs)
    return value if type(value) is not str and _is_pending(value) else render(value)


async def _finish(start: Callable[[], object], limit_s: float | None) -> str:
    """Await what start() returns to the end."""
    try:
        async with asyncio.timeout(limit_s) as scope:
            value = start()
            while inspect.isawaitable(value):
                value = await value
            if isinstance(value, AsyncIterator):
                value = await _collect(value)
            return render(value)
    except TimeoutError:
        if scope.expired():
            raise ExpiredError(has_started=True) from None
        raise


async def _collect(items: AsyncIterator[object]) -> str:
    found: list[object] = []
    try:
        async for item in items:
            found.append(item)
            if len(found) >= MAX_ITEMS:
                break
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
    return render_items(found)


def _is_pending(value: object) -> bool:
    return inspect.isawaitable(value) or isinstance(value, AsyncIterator)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    names = f"The tools that exist: {', '.join(known)}." if known else "There are no tools to call."
    return f"There is no tool named '{shorten(name, 64)}'. {perhaps(name, known)}{names}"


def _late(name: str, error: ExpiredError | CloggedError, limit_s: float | None) -> str:
    if isinstance(error, CloggedError):
        return f"Tool {name} was not called: earlier calls of it hang and have not come back."
    if not error.has_started:
        return f"Tool {name} was not called: no worker was free within {limit_s:g} s."
    return f"Tool {name} did not finish within {limit_s:g} s and was given up. Whether it had an effect is unknown."


def _failed(tool: Tool, call: ToolCall, error: BaseException) -> str:
    log.warning(
        "tool.failed",
        extra={"tool": tool.name, "call": call.id, "error": type(error).__name__, "at": _innermost(error)},
    )
    log.debug("tool.traceback", exc_info=error)  # may hold arguments: only where somebody asked for it
    return f"Tool {tool.name} failed: {describe(error)}"


def _innermost(error: BaseException) -> str:
    frames = [(frame.f_code.co_name, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return f"{frames[-1][0]}:{frames[-1][1]}" if frames else ""
