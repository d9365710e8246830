"""The API behind a function URL with IAM auth: each request is signed with the AWS credentials of this process and passed on."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from .messages import Answer, Refused, Request, as_json, refusal

_PASSED_ON: Final = ("content-type", "if-none-match", "x-durable-fn")
_TAKEN_BACK: Final = ("content-type", "etag")
_REGION: Final = re.compile(r"\.lambda-url\.([a-z0-9-]+)\.on\.aws$")


class Remote:
    """`url`: of the function. `region`: where its address does not say it."""

    def __init__(self, url: str, region: str | None = None) -> None:
        parts = urlsplit(url)
        own = parts.hostname in ("127.0.0.1", "localhost")
        if parts.scheme != "https" and not own:
            raise ValueError(f"--url is the address of the function, https://….lambda-url.REGION.on.aws, got {url!r}")
        named = _REGION.search(parts.hostname or "")
        self.region = region or (named[1] if named else "")
        if not self.region:
            raise ValueError(f"{url!r} does not tell its region: add --region")
        self._base = f"{parts.scheme}://{parts.netloc}"
        self.label = parts.netloc
        self._signer, self._session = self._signing()

    def _signing(self) -> tuple[Any, Any]:
        import boto3
        from botocore.auth import SigV4Auth
        from botocore.httpsession import URLLib3Session

        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise ValueError("there are no AWS credentials here to sign requests with")
        return SigV4Auth(credentials, "lambda", self.region), URLLib3Session(timeout=60)

    def answer(self, request: Request) -> Answer:
        """Never raises."""
        from botocore.exceptions import BotoCoreError, HTTPClientError

        try:
            reply = self._session.send(self._signed(request))
        except (BotoCoreError, HTTPClientError) as error:
            return refusal(Refused(502, f"the function's address does not answer: {error}"))
        headers = {name: reply.headers[name] for name in _TAKEN_BACK if name in reply.headers}
        if reply.status_code in (401, 403) and not headers.get("content-type", "").startswith(
            "application/json; charset"
        ):
            return as_json(403, {"error": "AWS refused the request: may these credentials invoke the function's URL?"})
        return Answer(reply.status_code, reply.content, headers)

    def _signed(self, request: Request) -> Any:
        from botocore.awsrequest import AWSRequest

        query = urlencode(request.query, quote_via=quote)
        url = f"{self._base}{quote(request.path)}{f'?{query}' if query else ''}"
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        signed = AWSRequest(request.method, url, headers=headers, data=request.body)
        self._signer.add_auth(signed)
        return signed.prepare()
