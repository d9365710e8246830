"""How the order demo goes."""

from __future__ import annotations

from typing import Any

from ..script import Scene, Script, after
from .models import Order
from .systems import SYSTEMS, WAREHOUSE

FOR_EVER = 1_000_000


def _begins(order: Order) -> str:
    return f"order placed  {order.order_id}: {sum(line.quantity for line in order.lines)} items, {order.total}"


def _fulfilled(_order: Any, _receipt: Any) -> dict[str, int]:
    return {"charge": 1, "reserve": 1, "ship": 1, "mail": 1}


def _taken_back(_order: Any, _receipt: Any) -> dict[str, int]:
    return {"charge": 1, "refund": 1, "reserve": 1, "release": 1}


SCRIPT = Script(
    name="order_fulfilment",
    title="An order: charge, reserve, notify the warehouse, confirm; or take it all back (saga).",
    event_type=Order,
    id=lambda order: str(order.order_id),
    begins=_begins,
    systems=SYSTEMS,
    scenes={
        "fulfilled": Scene(
            "The warehouse answers 503 once; the order is on its way.",
            kills=(after("charge_customer"),),
            effects=_fulfilled,
            prepare=lambda: WAREHOUSE.refuse(1),
        ),
        "warehouse-down": Scene(
            "The warehouse stays down: the saga releases the inventory and refunds the charge.",
            kills=(after("charge_customer"),),
            effects=_taken_back,
            prepare=lambda: WAREHOUSE.refuse(FOR_EVER),
        ),
    },
    result_name="receipt",
)
