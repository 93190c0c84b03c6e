"""agentrt: a self-hosted assistant runtime.

Everything public is a name of this module; each is imported when it is first used, so that `import agentrt` costs
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agentrt.version import __version__ as __version__

if TYPE_CHECKING:
    from agentrt.config.schema import SandboxLimits, SandboxSpec
    from agentrt.engine.events import CallOutput, CallReturned, CallStarted, TextDelta
    from agentrt.engine.message import (
        Image,
        ImageUrlPart,
        Logs,
        Message,
        Role,
        SearchHit,
        SearchShown,
        TextPart,
        ToolCall,
        ToolResult,
        Usage,
    )
    from agentrt.engine.run import RunStatus
    from agentrt.engine.spec import FunctionTool, ResponseFormat, ToolChoice
    from agentrt.errors import AgentrtError, ConfigError, ModelError, SandboxError, SandboxGoneError
    from agentrt.http import open_client
    from agentrt.models.chat_completions import ChatCompletions
    from agentrt.models.client import ModelClient
    from agentrt.models.demo import Demo
    from agentrt.models.embeddings import Embedder
    from agentrt.models.reranking import Reranker
    from agentrt.runtime.agent import Agent
    from agentrt.runtime.assembly import Runtime
    from agentrt.runtime.code_interpreter.local import CodeInterpreter
    from agentrt.runtime.conversation import Conversation, Result
    from agentrt.runtime.file_search.citations import Citation
    from agentrt.runtime.file_search.local import FileSearch
    from agentrt.runtime.requests import NewMessage, NewRun, NewSchedule, NewThread
    from agentrt.sandbox.result import CodeResult
    from agentrt.sandbox.sandbox import Sandbox
    from agentrt.server.mounting import mount
    from agentrt.toolkit.context import Context, IdempotencyKey, Option
    from agentrt.toolkit.registry import ToolRegistry
    from agentrt.toolkit.tool import Tool, tool

__all__ = [
    "Agent",
    "AgentrtError",
    "CallOutput",
    "CallReturned",
    "CallStarted",
    "ChatCompletions",
    "Citation",
    "CodeInterpreter",
    "CodeResult",
    "ConfigError",
    "Context",
    "Conversation",
    "Demo",
    "Embedder",
    "FileSearch",
    "FunctionTool",
    "IdempotencyKey",
    "Image",
    "ImageUrlPart",
    "Logs",
    "Message",
    "ModelClient",
    "ModelError",
    "NewMessage",
    "NewRun",
    "NewSchedule",
    "NewThread",
    "Option",
    "Reranker",
    "ResponseFormat",
    "Result",
    "Role",
    "RunStatus",
    "Runtime",
    "Sandbox",
    "SandboxError",
    "SandboxGoneError",
    "SandboxLimits",
    "SandboxSpec",
    "SearchHit",
    "SearchShown",
    "TextDelta",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolRegistry",
    "ToolResult",
    "Usage",
    "mount",
    "open_client",
    "tool",
]

_HOMES = {
    "Agent": "agentrt.runtime.agent",
    "AgentrtError": "agentrt.errors",
    "CallOutput": "agentrt.engine.events",
    "CallReturned": "agentrt.engine.events",
    "CallStarted": "agentrt.engine.events",
    "ChatCompletions": "agentrt.models.chat_completions",
    "Citation": "agentrt.runtime.file_search.citations",
    "CodeInterpreter": "agentrt.runtime.code_interpreter.local",
    "CodeResult": "agentrt.sandbox.result",
    "ConfigError": "agentrt.errors",
    "Context": "agentrt.toolkit.context",
    "Conversation": "agentrt.runtime.conversation",
    "Demo": "agentrt.models.demo",
    "Embedder": "agentrt.models.embeddings",
    "FileSearch": "agentrt.runtime.file_search.local",
    "FunctionTool": "agentrt.engine.spec",
    "IdempotencyKey": "agentrt.toolkit.context",
    "Image": "agentrt.engine.message",
    "ImageUrlPart": "agentrt.engine.message",
    "Logs": "agentrt.engine.message",
    "Message": "agentrt.engine.message",
    "ModelClient": "agentrt.models.client",
    "ModelError": "agentrt.errors",
    "NewMessage": "agentrt.runtime.requests",
    "NewRun": "agentrt.runtime.requests",
    "NewSchedule": "agentrt.runtime.requests",
    "NewThread": "agentrt.runtime.requests",
    "Option": "agentrt.toolkit.context",
    "Reranker": "agentrt.models.reranking",
    "ResponseFormat": "agentrt.engine.spec",
    "Result": "agentrt.runtime.conversation",
    "Role": "agentrt.engine.message",
    "RunStatus": "agentrt.engine.run",
    "Runtime": "agentrt.runtime.assembly",
    "Sandbox": "agentrt.sandbox.sandbox",
    "SandboxError": "agentrt.errors",
    "SandboxGoneError": "agentrt.errors",
    "SandboxLimits": "agentrt.config.schema",
    "SandboxSpec": "agentrt.config.schema",
    "SearchHit": "agentrt.engine.message",
    "SearchShown": "agentrt.engine.message",
    "TextDelta": "agentrt.engine.events",
    "TextPart": "agentrt.engine.message",
    "Tool": "agentrt.toolkit.tool",
    "ToolCall": "agentrt.engine.message",
    "ToolChoice": "agentrt.engine.spec",
    "ToolRegistry": "agentrt.toolkit.registry",
    "ToolResult": "agentrt.engine.message",
    "Usage": "agentrt.engine.message",
    "mount": "agentrt.server.mounting",
    "open_client": "agentrt.http",
    "tool": "agentrt.toolkit.tool",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'agentrt' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
