"""docs/pictures/timeline.svg, of what `durable-fn show` prints about the demo:

durable-fn demo --keep    # says where its journal is
durable-fn show order-1001 --backend sqlite:////tmp/.../journal.db | python docs/_site/timeline.py
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
CELL, LINE, LEFT, TOP, COLUMNS = 7.8, 20, 18, 30, 96
LOUD = {
    "●": "good-text",
    "✘": "bad-text",
    "┄": "wait-text",
    "━": "good-text",
    "▲": "wait-text",
}
LEFT_OUT = ("  updated", "  input", "  started", "  finished", "  turns")


def told(line: str) -> str:
    """One line, in which each run of a sign has its colour. Cells are placed, whatever the font."""
    parts = []
    for found in re.finditer(r"[●✘▲]|┄+|━+|[^●✘┄━▲]+", line):
        text = found.group()
        if text.isspace():
            continue
        pad = len(text) - len(text.lstrip())
        text, at = text.strip(), found.start() + pad
        loud = f' class="{LOUD[text[0]]}"' if text[0] in LOUD else ""
        parts.append(
            f'<tspan{loud} x="{LEFT + at * CELL:g}" textLength="{len(text) * CELL:g}" '
            f'lengthAdjust="spacingAndGlyphs">{escape(text)}</tspan>'
        )
    return "".join(parts)


def picture(printed: str) -> str:
    lines = [
        "$ durable-fn show order-1001",
        *(line for line in printed.splitlines() if not line.startswith(LEFT_OUT)),
    ]
    lines = [line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in lines]
    shared = re.findall(
        r"<style.*?</style>",
        (PICTURES / "step-life.svg").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    width, height = LEFT * 2 + COLUMNS * CELL, TOP + LINE * len(lines)
    texts = [
        f'<text class="code" xml:space="preserve" y="{TOP + LINE * n}">{told(line)}</text>'
        for n, line in enumerate(lines)
        if line
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {width:g} {height}" width="{width:g}" '
            f'height="{height}" role="img" aria-labelledby="timeline-title timeline-desc">',
            '<title id="timeline-title">What durable-fn show prints about an order whose worker was killed</title>',
            '<desc id="timeline-desc">A timeline with a line per step: charge_customer was done in the first invocation, which '
            "was killed; the second one did reserve_inventory, notify_warehouse in two attempts, and send_confirmation.</desc>",
            *shared,
            f'<rect class="paper" width="{width:g}" height="{height}" rx="8"/>',
            *texts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    (PICTURES / "timeline.svg").write_text(picture(sys.stdin.read()), encoding="utf-8")
