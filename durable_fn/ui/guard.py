"""Who may ask what: the name that the browser used, where the asking page came from, a token.

A page of somebody else's that runs in the same browser can send requests here, and by DNS rebinding even under a name of its
own that leads here. So the Host has to be one of ours, a request of another site's page is refused, and changes need a header
that such a page cannot send."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from .messages import Refused, Request

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
CHANGES: Final = "x-durable-fn"
"""The header that every request has to have that changes something. No other site's page may send it without being asked
first."""
TOKEN: Final = "x-durable-fn-token"  # noqa: S105
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    return host.strip("[]") in LOOPBACK


@dataclass(frozen=True)
class Guard:
    """`hosts`: names under which this may be reached, besides those of this machine; "*": any, for a front that has checked.
    `token`: what everybody has to show, None where nobody has to. `origins`: sites whose pages may call functions."""

    hosts: Collection[str] = ()
    token: str | None = None
    origins: Collection[str] = field(default=())

    def check_host(self, request: Request) -> None:
        """Raises Refused."""
        if "*" in self.hosts:
            return
        try:
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        except ValueError:
            name = ""
        if name not in LOOPBACK and name not in self.hosts:
            raise Refused(421, f"this is not served under the name {name[:80]!r}; --allow-host NAME allows one")

    def check_site(self, request: Request, *, navigable: bool = False) -> None:
        """Raises Refused for what another site's page sends. `navigable`: a link there may lead here."""
        origin = request.headers.get("origin")
        if origin is not None and origin not in self.origins and not _is_own(origin, request):
            raise Refused(403, "a page of another site asks this; it is refused. --allow-origin ORIGIN allows one")
        site = request.headers.get("sec-fetch-site", "none")
        if site in ("same-origin", "none") or origin in self.origins:
            return
        followed = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
        if not (navigable and followed):
            raise Refused(403, "a page of another site asks this; it is refused")

    def check_token(self, request: Request) -> None:
        """Raises Refused. In constant time."""
        if self.token is None:
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        shown = request.headers.get(TOKEN) or (bearer.strip() if scheme.lower() == "bearer" else "")
        if not hmac.compare_digest(shown.encode(), self.token.encode()):
            raise Refused(401, "show the token that was printed when this was started: Authorization: Bearer TOKEN")

    def check_change(self, request: Request) -> None:
        """Raises Refused."""
        if request.method not in _SAFE and not request.headers.get(CHANGES):
            raise Refused(403, f"a change needs the header {CHANGES}: 1")


def _is_own(origin: str, request: Request) -> bool:
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:
        return False
