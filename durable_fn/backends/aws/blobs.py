"""Values that do not fit an item, in S3. Keys are content addresses below the execution's run: writing twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .requests import explained

_PREFIX = "durable-fn/"


class S3Blobs:
    """A BlobStore in a bucket. A lifecycle rule on "durable-fn/" removes what is older than the longest retention."""

    def __init__(self, client: Callable[[], Any], bucket: str) -> None:
        self._client = cache(client)
        self._bucket = bucket

    def put(self, key: str, data: bytes) -> None:
        self._request("put_object", Key=_PREFIX + key, Body=data)

    def get(self, key: str) -> bytes:
        body: bytes = self._request("get_object", Key=_PREFIX + key)["Body"].read()
        return body

    def remove(self, prefix: str) -> None:
        """All pages of them, a thousand objects at a time (the most that DeleteObjects takes)."""
        found: dict[str, Any] = {"IsTruncated": True}
        while found.get("IsTruncated"):
            found = self._request("list_objects_v2", Prefix=_PREFIX + prefix, MaxKeys=1000)
            keys = [{"Key": item["Key"]} for item in found.get("Contents", [])]
            if keys:
                reply = self._request("delete_objects", Delete={"Objects": keys, "Quiet": True})
                if reply.get("Errors"):
                    raise RuntimeError(f"the bucket {self._bucket!r} kept objects: {reply['Errors'][0]}")

    def _request(self, action: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client(), action)(Bucket=self._bucket, **arguments)
        except Exception as error:
            raise explained(error, f"the bucket {self._bucket!r} (DURABLE_FN_BUCKET)") from error
