"""Token estimates without a tokenizer: bytes of UTF-8 divided by a ratio that real usage corrects.

Bytes, not characters: a character of Chinese costs about a token and is three bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.engine.message import Message, RefusalPart, TextPart
from agentrt.engine.spec import FunctionTool

BYTES_PER_TOKEN = 4.0
MESSAGE_OVERHEAD_TOKENS = 4
IMAGE_TOKENS = {"low": 85, "auto": 765, "high": 765}


def size_bytes(text: str) -> int:
    """Bytes of UTF-8; free for plain ASCII."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_tokens(message: Message, *, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """About how many prompt tokens one message costs."""
    n_bytes = n_image_tokens = 0
    for part in message.parts:
        if isinstance(part, TextPart):
            n_bytes += size_bytes(part.text)
        elif isinstance(part, RefusalPart):
            n_bytes += size_bytes(part.refusal)
        else:
            n_image_tokens += IMAGE_TOKENS[part.detail]
    for call in message.tool_calls:
        n_bytes += size_bytes(call.name) + size_bytes(call.arguments)
    return MESSAGE_OVERHEAD_TOKENS + n_image_tokens + int(n_bytes / bytes_per_token)


def tools_size_bytes(tools: Iterable[FunctionTool]) -> int:
    """About how many bytes the tools take in a prompt. Not free: their schemas are written out to be measured."""
    return sum(
        size_bytes(tool.name) + size_bytes(tool.description or "") + len(str(tool.parameters or "")) for tool in tools
    )
