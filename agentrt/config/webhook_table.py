"""[[webhooks]] as it is written: a table of `document.py`, in a module of its own because that one is full."""

# ruff: noqa: RUF012 - pydantic copies a mutable default for every table

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentrt.config.fields import Bool, Duration, Name, Table, Text


class WebhookTable(Table):
    """An address of yours that is told what happens to runs."""

    name: Annotated[Name, Field(description="What lists and logs call it; unique.", examples=["crm"])]
    url: Annotated[
        Text | None,  # needed; None stands for a variable that is not set
        Field(description="Where events are posted to.", examples=["https://example.com/agentrt"]),
    ] = None
    secret: Annotated[
        str | None,
        Field(
            description="What the events are signed with, from a variable: `whsec_` and 24 to 64 random bytes in "
            "base64. Any other text is used as it is.",
            examples=["${CRM_WEBHOOK_SECRET}"],
        ),
    ] = None
    previous_secret: Annotated[
        str | None,
        Field(
            description="While you change the secret: events are signed with this one too.",
            examples=["${OLD_CRM_WEBHOOK_SECRET}"],
        ),
    ] = None
    events: Annotated[
        list[Text],
        Field(
            description='Which events; `"run.*"` is every one of runs, `"*"` every one there is.',
            examples=[["run.requires_action", "run.completed"]],
        ),
    ] = ["*"]
    project: Annotated[
        Name | None,
        Field(description="Only what happens in this project. Default: in every one.", examples=["default"]),
    ] = None
    timeout: Annotated[
        Duration,
        Field(
            le=60,
            description="How long an answer may take, 60 seconds at most.",
            examples=["15s"],
            json_schema_extra={"default": "15s"},
        ),
    ] = 15.0
    enabled: Annotated[Bool, Field(description="Whether it is told anything.", examples=[False])] = True
