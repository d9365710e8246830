"""Order fulfilment as an ordinary function. Kill it anywhere: it goes on where it stopped, and nothing happens twice."""

from __future__ import annotations

from durable_fn import DurableContext, RetryPolicy, StepError, current_step, durable, step

from .models import Order, Payment, Receipt, Reservation, Shipment
from .systems import INVENTORY, MAIL, PAYMENTS, WAREHOUSE


@step
def charge_customer(order: Order) -> Payment:
    key = current_step().idempotency_key
    return Payment(
        charge_id=PAYMENTS.perform("charge", key, f"{order.total} from {order.customer}"), amount=order.total
    )


@step
def reserve_inventory(order: Order) -> Reservation:
    items = sum(line.quantity for line in order.lines)
    key = current_step().idempotency_key
    return Reservation(reservation_id=INVENTORY.perform("reserve", key, f"{items} items"), items=items)


@step(retry=RetryPolicy(max_attempts=5, initial_delay=1, backoff=2))
def notify_warehouse(order: Order, reservation: Reservation) -> Shipment:
    key = current_step().idempotency_key
    return Shipment(shipment_id=WAREHOUSE.perform("ship", key, f"{order.order_id}: {reservation.reservation_id}"))


@step(retry=RetryPolicy(max_attempts=3, initial_delay=1))
def send_confirmation(order: Order, text: str) -> None:
    MAIL.perform("mail", current_step().idempotency_key, f"to {order.customer}: {text}")


@step
def release_inventory(reservation: Reservation) -> None:
    INVENTORY.perform("release", current_step().idempotency_key, reservation.reservation_id)


@step
def refund_charge(payment: Payment) -> None:
    PAYMENTS.perform("refund", current_step().idempotency_key, f"{payment.amount} for {payment.charge_id}")


@durable(name="order-fulfilment", execution_id="order_id")
def handler(order: Order, ctx: DurableContext) -> Receipt:
    payment = ctx.step(charge_customer, order)
    try:
        with ctx.saga() as saga:
            saga.add_compensation(refund_charge, payment)
            reservation = ctx.step(reserve_inventory, order)
            saga.add_compensation(release_inventory, reservation)
            shipment = ctx.step(notify_warehouse, order, reservation)
    except StepError as error:
        ctx.logger.warning("the order was taken back: %s", error.message)
        return Receipt(order_id=order.order_id, status="refunded", charge_id=payment.charge_id, reason=error.message)
    ctx.step(send_confirmation, order, f"your order is on its way: {shipment.shipment_id}")
    return Receipt(
        order_id=order.order_id, status="fulfilled", charge_id=payment.charge_id, shipment_id=shipment.shipment_id
    )
