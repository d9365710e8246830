"""A night: ten orders failed, three are held by a bad deploy, a callback is stuck, one is overdue, among many that are
well. Found, understood, mended and redriven with the command alone.

    python -m tests.cli.night 5000
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

from .shop import BANK, Shop, approval, many, order, order_badly_deployed, refund


def before(shop: Shop, count: int) -> None:
    """The evening, as it went."""
    BANK["up"] = True
    ids = list(many("order", count - 15))
    shop.client.start_many(order, ids, ids=ids)
    shop.work(order, until=2.9)
    failed = list(many("unpaid", 10))
    shop.client.start_many(order, failed, ids=failed)
    BANK["up"] = False
    shop.work(order, until=2.1)
    shop.client.start(approval, "table", id="approval-17")
    shop.client.start(refund, "chair", id="refund-3")
    shop.work(order, approval, until=1.9)
    BANK["up"] = True
    held = list(many("halfway", 3))
    shop.client.start_many(order, held, ids=held)
    shop.work_once(order)
    shop.work(order_badly_deployed, until=1)


def night(shop: Shop, count: int) -> None:
    # What is wrong?
    assert len(shop.ids()) == min(count, 1000)
    failed = shop.ids("--status", "FAILED")
    assert sorted(failed) == list(many("unpaid", 10))
    held = shop.ids("--held")
    assert sorted(held) == list(many("halfway", 3))
    assert shop.ids("--overdue") == ["refund-3"]
    assert shop.ids("--status", "SUSPENDED", "--not-held", "--started-before", "1h") == ["approval-17"]

    # Ten that failed: the bank.
    said = shop.said("show", failed[0])
    assert "ConnectionError: the bank is down" in said
    assert "attempt 2" in said
    dry = shop.told("redrive", "--status", "FAILED", "--function", "order", "--dry-run")
    assert sorted(row["id"] for row in dry["executions"]) == sorted(failed)
    assert shop.ids("--status", "FAILED") == failed, "nothing was done"
    shop.run(
        "redrive", "--status", "FAILED", "--reason", "the bank is up again", "--by", "ada", "--confirm", "9", code=1
    )
    assert shop.ids("--status", "FAILED") == failed, "nothing was done, for there are ten"
    done = shop.told(
        "redrive", "--status", "FAILED", "--reason", "the bank is up again", "--by", "ada", "--confirm", "10"
    )
    assert all(row["done"] and row["told"] == "from 'charge'" for row in done["executions"])
    shop.work(order_badly_deployed)
    assert shop.ids("--status", "FAILED") == []

    # Now ten are held as well as three: the code that is deployed does not fit what they recorded.
    assert sorted(shop.ids("--held")) == [*held_ids(), *many("unpaid", 10)]
    said = shop.said("show", "halfway-0000")
    assert "NonDeterminismError" in said
    assert "recorded step 'reserve'" in said
    shop.run("replay", "halfway-0000", "--handler", "tests.cli.shop:order_badly_deployed", code=1)
    assert "agrees" in shop.said("replay", "halfway-0000", "--handler", "tests.cli.shop:order")
    redriven = shop.said("redrive", "--held", "--reason", "rolled back", "--by", "ada", input="13\n")
    assert "13 executions done, 0 not" in redriven
    shop.work(order)
    assert shop.ids("--held") == []
    events = shop.told("history", "unpaid-0003")["events"]
    asked = [(e["kind"], e["by"], e["reason"]) for e in events if e.get("reason")]
    assert asked == [("redrive", "ada", "the bank is up again"), ("redrive", "ada", "rolled back")]

    # The callback that nobody answers.
    said = shop.said("show", "approval-17")
    assert "whoever was given the token of callback 'approve'" in said
    shop.run("callback", "complete", "--id", "approval-17", "--name", "approve", "--result", '"yes"', "--by", "ada")
    shop.run("signal", "approval-17", "ship", '"tomorrow"')
    shop.work(approval)
    assert shop.told("show", "approval-17")["execution"]["result"] == ["yes", "tomorrow"]

    # The one that nobody takes: its worker was not there.
    doctor = {row["part"]: row for row in shop.told("doctor", code=1)["findings"]}
    assert doctor["held"]["state"] == "ok"
    assert "refund-3" in doctor["overdue"]["told"]
    assert "overdue: nobody takes it" in shop.said("show", "refund-3")
    assert "start a worker" in shop.said("sweep", code=1)
    shop.work(refund)
    shop.run("doctor")

    # All is well.
    assert len(list(shop.client.list(status="SUCCEEDED"))) == count


def held_ids() -> list[str]:
    return list(many("halfway", 3))


def main() -> None:
    logging.disable()  # each held execution says in the log why it is held
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        shop = Shop(Path(folder) / "journal.db")
        before(shop, count)
        filled = time.perf_counter()
        night(shop, count)
        print(
            f"{count:,} executions: {filled - began:.1f} s to make, {time.perf_counter() - filled:.1f} s to find and mend"
        )
        for words in (
            ["list"],
            ["list", "--status", "FAILED"],
            ["list", "--overdue"],
            ["list", "--function", "refund"],
        ):
            begun = time.perf_counter()
            shop.run(*words)
            print(f"{' '.join(words)}: {(time.perf_counter() - begun) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
