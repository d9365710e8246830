"""How the agent demo goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from durable_fn import DurableClient

from ..links import confirm, newest_link
from ..script import Act, History, Scene, Script, after
from .model import SCRIPTED, provider
from .models import Task
from .systems import MAIL, MODEL, SYSTEMS


def answers(verdict: str) -> Callable[[DurableClient, str], object]:
    return lambda _client, _id: confirm(newest_link(MAIL, "approval", f"verdict={verdict}"))


def cancels(client: DurableClient, id: str) -> None:
    client.cancel(id, "Ada has called, it is settled")


def _exactly(**effects: int) -> Callable[[Any, Any], Mapping[str, int] | None]:
    """With a real model nobody can know."""
    return lambda _task, _outcome: {"rent": 1, "release": 1, **effects} if provider() == SCRIPTED else None


def scenes(asks: str = "submit", prefix: str = "") -> Mapping[str, Scene]:
    """`asks`: the step that writes to the approver. `prefix`: of the names of tools as steps."""
    asked = after(asks)

    def tools_ran(history: History) -> bool:
        return after(f"{prefix}find_orders")(history) or after(f"{prefix}find_payments")(history)

    return {
        "approved": Scene(
            "The model is busy once; two tools side by side; a human approves the refund.",
            kills=(tools_ran, after(f"{prefix}refund_payment")),
            effects=_exactly(ask=3, run=2, approval=1, refund=1),
            acts=(Act("approver", "opens the link in the mail and confirms: approved", asked, answers("approve")),),
            prepare=lambda: MODEL.refuse(1),
        ),
        "rejected": Scene(
            "The human rejects the refund; the agent says so.",
            kills=(tools_ran,),
            effects=_exactly(ask=3, run=2, approval=1),
            acts=(Act("approver", "opens the link in the mail and confirms: rejected", asked, answers("reject")),),
        ),
        "over-budget": Scene(
            "The budget is too small: the agent stops before it asks again.",
            kills=(tools_ran,),
            effects=_exactly(ask=1, run=2),
            changes={"budget": {"max_turns": 1}},
        ),
        "cancelled": Scene(
            "The task is cancelled while it waits for a human: the saga gives the sandbox back.",
            kills=(tools_ran,),
            effects=_exactly(ask=2, run=2, approval=1),
            acts=(Act("operator", "cancels the task", asked, cancels),),
            status="CANCELLED",
        ),
    }


SCRIPT = Script(
    name="ai_agent",
    title="An agent: model and tools in a loop, human approval of dangerous tools, budget, cancellation.",
    event_type=Task,
    id=lambda task: str(task.task_id),
    begins=lambda task: f"task  {task.prompt}",
    systems=SYSTEMS,
    scenes=scenes(),
    result_name="outcome",
)
