"""Looking up orders. A file stands in for your shop's database: replace the body, keep the docstring."""

from __future__ import annotations

import json
from pathlib import Path

from agentrt import Option, tool


@tool(timeout_s=10, retry="idempotent")
def find_order(order_number: str, *, file: Option[Path]) -> str:
    """Look up an order: its status, its items and when it was sent.

    order_number: the number of the order, such as A-1001.
    """
    orders = json.loads(file.read_text(encoding="utf-8"))
    order = orders.get(order_number.strip().upper())
    if order is None:
        raise ValueError(f"there is no order {order_number}; a number looks like A-1001")
    return json.dumps({"order": order_number.upper(), **order}, ensure_ascii=False)
