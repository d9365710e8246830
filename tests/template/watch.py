"""Holds what every test does on a local cloud against the template: no test may need an action that it does not allow.

Resources are looked at where everything is played in one place (test_policies.py): tests have queues of their own names.
"""

from __future__ import annotations

import functools
from typing import Any

from tests.template import policies
from tests.template.stage import FUNCTIONS, staged

_ROLES = {
    "web-dashboard": "WebDashboardRole",
    "sweeper": "SweeperRole",
    "scheduler": "SchedulerRole",
    "callback-api": "CallbacksRole",
}


@functools.cache
def _actions(caller: str) -> frozenset[str]:
    template = staged()
    granted = policies.of_role(template, _ROLES.get(caller, f"{FUNCTIONS[0]}Role"))
    if caller == "doctor":
        return frozenset(
            g.action for name in ("ClientAccess", "DoctorAccess") for g in policies.of_managed(template, name)
        )
    if caller == "client":  # a test that drives the journal itself plays a function too
        granted += policies.of_managed(template, "ClientAccess")
    return frozenset(grant.action for grant in granted)


def watch(cloud: type[Any]) -> None:
    """From now on the local cloud complains when it is closed."""
    if hasattr(cloud, "_watched"):
        return
    close = cloud.__exit__

    def watched(self: Any, *error: object) -> None:
        close(self, *error)
        if error == (None, None, None) or not error:
            denied = {p for p in self.permissions if p.action not in _actions(p.caller)}
            assert not denied, f"template.yaml does not allow {sorted(denied)}"

    cloud._watched, cloud.__exit__ = True, watched
