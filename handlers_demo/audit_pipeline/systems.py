"""What stands around the audit: a tracker in which each flagged invoice becomes one case, and the mail for the report."""

from __future__ import annotations

from ..systems import ExternalSystem

TRACKER = ExternalSystem("tracker")
MAIL = ExternalSystem("mail")
SYSTEMS = (TRACKER, MAIL)
