"""The history names who answered, also where a redrive let the callback be asked anew."""

from __future__ import annotations

from durable_fn import DurableContext, RetryPolicy, durable, step
from durable_fn.testing import LocalRunner


@step(retry=RetryPolicy(max_attempts=1))
def pay(answer: str) -> str:
    if answer == "no":
        raise ValueError("refused")
    return "paid"


@durable(name="asks")
def asks(event: None, ctx: DurableContext) -> str:
    return ctx.step(pay, ctx.wait_for_callback(lambda token: None, name="boss"))


def test_each_of_two_answers_to_one_operation_has_its_own_name() -> None:
    with LocalRunner(asks) as runner:
        execution = runner.run(None, "e")
        for who, answer, redriven in (("ann", "no", True), ("bob", "yes", False)):
            token = runner.client.callback_token("e", "boss")
            runner.client.complete_callback(token, answer, by=who)
            runner.run_on(execution)
            if redriven:
                runner.client.redrive("e", from_step="boss", by="joe")
                runner.run_on(execution)
        answers = [(e.by, e.result, e.forgotten) for e in execution.history if e.kind == "callback" and e.result]
        assert answers == [("ann", "no", True), ("bob", "yes", False)]


def test_nobody_answered_what_timed_out() -> None:
    @durable(name="asks")
    def late(event: None, ctx: DurableContext) -> None:
        ctx.callback("boss", timeout=60).result()

    with LocalRunner(late) as runner:
        execution = runner.run(None, "e")
        runner.advance(60)
        assert [(e.status, e.by) for e in execution.history if e.kind == "callback"] == [
            ("STARTED", None),
            ("FAILED", None),
        ]
