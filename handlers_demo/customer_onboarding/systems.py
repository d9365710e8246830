"""What stands around the application: a company register, the bank's accounts, mail."""

from __future__ import annotations

from ..systems import ExternalSystem

REGISTER = ExternalSystem("register")
ACCOUNTS = ExternalSystem("accounts")
MAIL = ExternalSystem("mail")
SYSTEMS = (REGISTER, ACCOUNTS, MAIL)
