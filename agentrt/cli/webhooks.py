"""`agentrt webhooks`: what is told to whom, how it went, and another try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation

if TYPE_CHECKING:
    from agentrt.cli.webhook_port import WebhookDesk

T = TypeVar("T")


@click.group(cls=VerbGroup)
def webhooks() -> None:
    """List webhooks and their deliveries, test them, send again."""


@webhooks.command("list")
@key_option
@json_option()
@common_options
@pass_invocation
def list_webhooks(invocation: Invocation, key: str | None) -> None:
    """List the webhooks of agents.toml, and why some are off."""
    from agentrt.cli.webhook_views import show_webhooks

    show_webhooks(invocation, _with_desk(invocation, key, lambda desk: desk.webhooks()))


@webhooks.command("deliveries")
@click.option("--status", "-s", type=click.Choice(["pending", "delivered", "failed"]), help="Only those in this state.")
@click.option("--event", "-e", metavar="TYPE", help="Only of this type of event, such as run.failed.")
@click.option("--run", "-r", metavar="ID", help="Only of this run.")
@click.option("--webhook", "-w", metavar="NAME", help="Only to this webhook.")
@click.option("--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@click.option("--after", metavar="ID", help="Begin behind this delivery, for the next page.")
@key_option
@json_option()
@common_options
@pass_invocation
def list_deliveries(
    invocation: Invocation,
    status: str | None,
    event: str | None,
    run: str | None,
    webhook: str | None,
    limit: int,
    after: str | None,
    key: str | None,
) -> None:
    """List the newest deliveries and how they went."""
    from agentrt.cli.webhook_port import DeliveriesWanted
    from agentrt.cli.webhook_views import show_deliveries

    only = DeliveriesWanted(status=status, event_type=event, run_id=run, webhook=webhook)
    found = _with_desk(invocation, key, lambda desk: desk.deliveries(only, limit=limit, after=after))
    show_deliveries(invocation, found, is_page_full=len(found) == limit)


@webhooks.command("show")
@click.argument("delivery")
@key_option
@json_option()
@common_options
@pass_invocation
def show_delivery(invocation: Invocation, delivery: str, key: str | None) -> None:
    """Show a delivery: the event, and every attempt with its answer. The beginning of its id will do."""
    from agentrt.cli.webhook_views import find_delivery, print_delivery

    print_delivery(invocation, _with_desk(invocation, key, lambda desk: find_delivery(desk, delivery)))


@webhooks.command("redeliver")
@click.argument("delivery", nargs=-1, required=True)
@key_option
@json_option()
@common_options
@pass_invocation
def redeliver(invocation: Invocation, delivery: tuple[str, ...], key: str | None) -> None:
    """Send events again, or at once if they still wait. The beginning of an id will do."""
    from agentrt.cli.webhook_views import redeliver_all

    _with_desk(invocation, key, lambda desk: redeliver_all(invocation, desk, delivery))


@webhooks.command("test")
@click.argument("webhook")
@key_option
@json_option()
@common_options
@pass_invocation
def test_webhook(invocation: Invocation, webhook: str, key: str | None) -> None:
    """Send a signed test event to WEBHOOK now, and show its answer."""
    from agentrt.cli.webhook_views import show_test

    show_test(invocation, _with_desk(invocation, key, lambda desk: desk.test(webhook)))


@webhooks.command("enable")
@click.argument("webhook")
@key_option
@json_option()
@common_options
@pass_invocation
def enable_webhook(invocation: Invocation, webhook: str, key: str | None) -> None:
    """Send to WEBHOOK again after it had answered 410 Gone."""
    from agentrt.cli.webhook_views import show_enabled

    show_enabled(invocation, _with_desk(invocation, key, lambda desk: desk.enable(webhook)))


def _with_desk(invocation: Invocation, key: str | None, use: Callable[[WebhookDesk], Awaitable[T]]) -> T:
    from agentrt.cli.connect import open_webhooks

    async def work() -> T:
        async with open_webhooks(invocation.config, key=key) as desk:
            return await use(desk)

    return asyncio.run(work())
