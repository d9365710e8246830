"""Requests to AWS: the retry that botocore does not do, and errors that say what to do about them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

_TRIES: Final = 12
_FIRST_PAUSE_S: Final = 0.025
_LONGEST_PAUSE_S: Final = 1.0
_CONFLICTS: Final = frozenset({"TransactionConflictException", "TransactionInProgressException"})
CONDITION_FAILED: Final = "ConditionalCheckFailedException"


class ConditionFailed(Exception):
    """A condition did not hold. `items`: what stood there, one per item of the request, None where nothing did;
    `failed`: which of them failed."""

    def __init__(self, items: list[dict[str, Any] | None], failed: list[bool]) -> None:
        super().__init__("a condition did not hold")
        self.items = items
        self.failed = failed


def request(
    call: Callable[..., Any], sleep: Callable[[float], None], where: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """One request. Raises ConditionFailed; RuntimeError for what only a change of the set-up can mend.

    Another transaction on the same item is in the way for milliseconds; AWS leaves it to the caller to try again
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling).
    """
    for attempt in range(_TRIES):
        try:
            reply: dict[str, Any] = call(**arguments)
            return reply
        except ClientError as error:
            failure = _condition_failed(error)
            if failure is not None:
                raise failure from None
            if attempt == _TRIES - 1 or not _is_conflict(error):
                raise explained(error, where) from error
        except BotoCoreError as error:
            raise explained(error, where) from error
        sleep(random.random() * min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S))
    raise AssertionError("unreachable")


def code_of(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


_NO_QUEUE: Final = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})


_NO_RIGHT: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"})


def may_be_replaced(error: BaseException | None) -> bool:
    """Whether the queue may have been replaced by another one: it does not exist, or the role has no right to it any more. Rights
    name queues, and IAM is asked before anybody looks whether the queue is there."""
    return isinstance(error, ClientError) and code_of(error) in _NO_QUEUE | _NO_RIGHT


def _reasons(error: ClientError) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = error.response.get("CancellationReasons") or []
    return found


def _condition_failed(error: ClientError) -> ConditionFailed | None:
    if code_of(error) == CONDITION_FAILED:
        return ConditionFailed([error.response.get("Item")], [True])
    reasons = _reasons(error)
    failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in reasons]
    return ConditionFailed([reason.get("Item") for reason in reasons], failed) if any(failed) else None


def _is_conflict(error: ClientError) -> bool:
    if code_of(error) in _CONFLICTS:
        return True
    codes = {reason.get("Code") for reason in _reasons(error)} - {"None", None}
    return bool(codes) and codes <= {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def explained(error: Exception, where: str) -> Exception:
    """The same error with the way out, where it is the set-up's; else the error itself."""
    code = code_of(error)
    if isinstance(error, NoRegionError):
        return RuntimeError("no AWS region is set: set AWS_REGION (Lambda does it by itself)")
    if isinstance(error, NoCredentialsError):
        return RuntimeError(f"no AWS credentials were found for {where}: configure a profile or a role")
    message = str(error)
    if code in _NO_QUEUE | {"ResourceNotFoundException"}:
        return RuntimeError(
            f"{where} does not exist in this account and region ({message}): deploy the stack, or correct the variable"
        )
    if code in _NO_RIGHT:
        action = getattr(error, "operation_name", "the request")
        return RuntimeError(f"the role in use has no right to call {action} on {where}: {message}")
    if code == "ValidationException" and "specified index" in message:
        return RuntimeError(f"{where} has no index 'due' (hash key shard, range key due, both numbers): {message}")
    if code == "ValidationException" and "key element" in message:
        return RuntimeError(f"{where} must have the hash key 'pk' and the range key 'sk', both strings: {message}")
    return error
