"""What an order is and what becomes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Quantity = Annotated[int, Field(ge=1, le=1000)]


class Line(BaseModel):
    sku: Annotated[str, Field(min_length=1, max_length=40)]
    quantity: Quantity = 1
    price: Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=2)]


class Order(BaseModel):
    order_id: Annotated[str, Field(min_length=1, max_length=80)]
    customer: Annotated[str, Field(min_length=3, max_length=200)]
    lines: Annotated[list[Line], Field(min_length=1, max_length=100)]

    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))


class Payment(BaseModel):
    charge_id: str
    amount: Decimal


class Reservation(BaseModel):
    reservation_id: str
    items: int


class Shipment(BaseModel):
    shipment_id: str


class Receipt(BaseModel):
    order_id: str
    status: Literal["fulfilled", "refunded"]
    charge_id: str
    shipment_id: str | None = None
    reason: str | None = None
