"""Every exception of agentrt. A class is a case somebody handles; it carries facts and its own HTTP identity.

    AgentrtError
    ├── InvalidRequestError            400  the caller's words are wrong
    │   ├── ThreadBusyError            400  a run is active on the thread
    │   ├── RunStateError              400  the run's status does not allow this
    │   ├── ToolOutputsMismatchError   400  submitted outputs name other calls than the pending ones
    │   ├── TimetableError             400  a cron expression or a time zone is none
    │   └── RequestTooLargeError       413  more bytes than the server takes at once
    ├── AuthenticationError            401  no key, or a wrong one
    ├── PermissionDeniedError          403
    ├── NotFoundError                  404  no such object (or it belongs to another project)
    │   └── ModelNotFoundError         404  no configured model answers to this name
    ├── RateLimitError                 429
    ├── ModelError                     5xx  a model server failed; `reason` is a run's last_error code
    ├── UnavailableError               503  a part is off or shutting down
    ├── ExtractionError                     a file's text cannot be had; `reason` is a store file's last_error code
    ├── ConfigError                         agents.toml is wrong; lists every problem
    ├── SandboxError                   503  no place to run code in, or it failed
    │   └── SandboxGoneError           503  a session ended and took its variables along
    ├── StoreError                          the database cannot be opened, locked by another process, not migrated
    ├── ToolDefinitionError                 a Python function cannot be made a tool
    └── ForbiddenTransitionError            a bug: the engine was given an event its state does not allow
        └── FencedError                     another worker took the run over; this one must stop

`server/errors.py` is the only place that turns one into JSON. What a model can repair is a value (`ToolResult.error`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal


class AgentrtError(Exception):
    """Base of all errors a caller can handle. str(error) is fit for the caller's eyes."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class InvalidRequestError(AgentrtError):
    """The request is malformed. `param` is a path such as `tools[0].function.name`."""

    status = 400
    type = "invalid_request_error"


class ThreadBusyError(InvalidRequestError):
    """A message or run was refused because a run is active. A 400, never a 409: SDKs retry 409."""

    def __init__(self, *, thread_id: str, run_id: str, adding: Literal["message", "run"]) -> None:
        super().__init__(
            f"Can't add messages to {thread_id} while a run {run_id} is active."
            if adding == "message"
            else f"Thread {thread_id} already has an active run {run_id}."
        )
        self.thread_id = thread_id
        self.run_id = run_id


class RunStateError(InvalidRequestError):
    """The run's status does not allow the operation."""

    def __init__(self, *, run_id: str, run_status: str, doing: Literal["cancel", "submit", "retry"]) -> None:
        super().__init__(
            f'Runs in status "{run_status}" do not accept tool outputs.'
            if doing == "submit"
            else f"Cannot {doing} run with status '{run_status}'."
        )
        self.run_id = run_id
        self.run_status = run_status


class ToolOutputsMismatchError(InvalidRequestError):
    """Submitted tool outputs do not name exactly the pending calls; the run stays as it was."""

    def __init__(self, *, expected: Sequence[str], got: Sequence[str]) -> None:
        super().__init__(f"Expected tool outputs for call_ids {list(expected)}, got {list(got)}", param="tool_outputs")
        self.expected = tuple(expected)
        self.got = tuple(got)


class TimetableError(InvalidRequestError):
    """A cron expression or a time zone that is none, or is never due. what and fix: also for agents.toml's report."""

    def __init__(self, what: str, fix: str, *, param: Literal["cron", "timezone"]) -> None:
        end = "" if fix.endswith("?") else "."
        super().__init__(f"Invalid '{param}': {what}; {fix}{end}", param=param, code="invalid_value")
        self.what = what
        self.fix = fix


class RequestTooLargeError(InvalidRequestError):
    """More bytes than a body or a file may have. Whoever reads them stops reading."""

    status = 413


class AuthenticationError(AgentrtError):
    """No key (code None) or a wrong one (code `invalid_api_key`)."""

    status = 401
    type = "invalid_request_error"


class PermissionDeniedError(AgentrtError):
    """The key is good and does not allow this."""

    status = 403
    type = "invalid_request_error"


class NotFoundError(AgentrtError):
    """No such object in the caller's project. The texts are the ones that clients match on."""

    status = 404
    type = "invalid_request_error"

    def __init__(self, kind: str, object_id: str) -> None:
        if kind == "file":
            super().__init__(f"No such File object: {object_id}", param="id")
        elif kind == "vector_store":
            super().__init__(f"Vector store with id [{object_id}] not found.")
        else:
            super().__init__(f"No {kind} found with id '{object_id}'.")
        self.kind = kind
        self.object_id = object_id


class ModelNotFoundError(AgentrtError):
    """No configured model answers to the name. `why` says what is known about it (missing key, close names)."""

    status = 404
    type = "invalid_request_error"

    def __init__(self, model: str, *, why: str = "") -> None:
        text = f"The model '{model}' does not exist or you do not have access to it."
        super().__init__(f"{text} {why}".strip(), param="model", code="model_not_found")
        self.model = model


class RateLimitError(AgentrtError):
    """Too many requests; `retry_after_s` says when to come back."""

    status = 429
    type = "requests"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, code="rate_limit_exceeded")
        self.retry_after_s = retry_after_s


class ModelError(AgentrtError):
    """A model server failed for good: retries and fallbacks are used up.

    reason is the code a run's `last_error` shows; http_status is the model server's answer, None when there was none.
    """

    status = 502

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"] = "server_error",
        http_status: int | None = None,
        retry_after_s: float | None = None,
        is_retryable: bool = False,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.reason: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"] = reason
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        self.is_retryable = is_retryable


class UnavailableError(AgentrtError):
    """A part of the service is off, full or shutting down."""

    status = 503


class SandboxError(AgentrtError):
    """Code cannot be run: nothing that isolates it works here, the image cannot be made, or there is no room."""

    status = 503


class SandboxGoneError(SandboxError):
    """The sandbox ended: killed, out of life, or it broke the protocol. The next one starts without variables."""


class ExtractionError(AgentrtError):
    """The text of a file cannot be had. The message says what is wrong with the file and what to do about it.

    reason is the code that a store file's `last_error` shows: `invalid_file` (damaged, locked, too large to read),
    `unsupported_file` (whole, and of a kind that is not read here), `server_error` (our fault: trying again may help).
    """

    def __init__(self, reason: Literal["invalid_file", "unsupported_file", "server_error"], message: str) -> None:
        super().__init__(message)
        self.reason: Literal["invalid_file", "unsupported_file", "server_error"] = reason


class ConfigError(AgentrtError):
    """agents.toml or the command line is wrong. `problems` holds one ready-to-print text for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StoreError(AgentrtError):
    """The database cannot be opened: unreachable, locked by another process, newer than this release."""


class ToolDefinitionError(AgentrtError):
    """A Python function cannot be made a tool: no docstring, an untypable parameter, a name that is taken."""


class ForbiddenTransitionError(AgentrtError):
    """The engine was given an event that its state does not allow. A bug, or a lost race that a fence must catch."""


class FencedError(ForbiddenTransitionError):
    """Another worker took the run over (its epoch is higher): stop driving it and write nothing."""
