"""How the onboarding demo goes: three days in a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_fn import DurableClient

from ..links import confirm, follow, newest_link
from ..script import Act, Scene, Script, after
from .handler import onboarding_id
from .models import Application
from .systems import MAIL, SYSTEMS

DAYS_PER_SECOND = 0.5


def answers(kind: str, verdict: str) -> Callable[[DurableClient, str], object]:
    """Presses the button behind the link in the newest mail of this kind."""
    return lambda _client, _id: confirm(newest_link(MAIL, kind, f"verdict={verdict}"))


def scanned(_client: DurableClient, _id: str) -> None:
    follow(newest_link(MAIL, "ask", "verdict=approve"))


def withdraws(client: DurableClient, id: str) -> None:
    client.signal(id, "withdraw", {"reason": "found another bank"})


ASKED, REMINDED, ESCALATED = after("submit"), after("submit", 2), after("submit", 4)
SCANNER = Act("mail scanner", "follows the link in the mail: a GET, which approves nothing", ASKED, scanned)


def _exactly(**effects: int) -> Callable[[Any, Any], dict[str, int]]:
    return lambda _application, _outcome: {"look up": 1, **effects}


SCRIPT = Script(
    name="customer_onboarding",
    title="A new customer: a human approves by a link in a mail, with reminders, escalation and withdrawal.",
    event_type=Application,
    id=onboarding_id,
    begins=lambda application: f"application received  {application.company}",
    systems=SYSTEMS,
    scenes={
        "escalated": Scene(
            "Nobody answers for three days; then the supervisor approves.",
            kills=(ASKED, after("open_account")),
            effects=_exactly(ask=1, remind=2, escalate=1, open=1, welcome=1),
            acts=(
                SCANNER,
                Act("supervisor", "opens the link in the mail and confirms: approved", ESCALATED,
                    answers("escalate", "approve")),
            ),
        ),
        "rejected": Scene(
            "The approver rejects after the first reminder.",
            kills=(REMINDED,),
            effects=_exactly(ask=1, remind=1, goodbye=1),
            acts=(
                SCANNER,
                Act("approver", "opens the link in the reminder and confirms: rejected", REMINDED,
                    answers("remind", "reject")),
            ),
        ),
        "withdrawn": Scene(
            "The customer withdraws while the approver is still thinking.",
            kills=(REMINDED,),
            effects=_exactly(ask=1, remind=1, goodbye=1),
            acts=(Act("customer", "withdraws: a signal", REMINDED, withdraws),),
        ),
        "expired": Scene(
            "Nobody ever answers: after a week the application expires.",
            kills=(ESCALATED,),
            effects=_exactly(ask=1, remind=2, escalate=1, goodbye=1),
        ),
    },
    pace=86_400 * DAYS_PER_SECOND,
    most_speed=2,
    latency=0.15,
    result_name="outcome",
)  # fmt: skip
