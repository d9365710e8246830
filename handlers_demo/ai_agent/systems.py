"""What stands around the agent: a model that bills each call, a sandbox that must be given back, the shop's payments, mail."""

from __future__ import annotations

from ..systems import ExternalSystem

MODEL = ExternalSystem("model")
SANDBOX = ExternalSystem("sandbox")
PAYMENTS = ExternalSystem("payments")
MAIL = ExternalSystem("mail")
SYSTEMS = (MODEL, SANDBOX, PAYMENTS, MAIL)
