"""`python -m tests.torture.report`: the figures of docs/reliability.md, from what the suites have kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.corpus.topics import SHAPES
from tests.protocol.life_model import RULES as LIFE_RULES
from tests.protocol.modelled.rules import PROOFS, RULES
from tests.protocol.modelled.shapes import SHAPES as MODELLED
from tests.protocol.modelled.shapes import WAITS
from tests.protocol.mutations import MUTATIONS
from tests.torture.kept import FILE, KINDS, load
from tests.torture.workflows.all import WORKFLOWS

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reliability.md"
LIMITS: Final = ROOT / "tests" / "limits" / "figures.json"
HOSTILE: Final = ROOT / "tests" / "hostile" / "counts.json"
_FIGURES: Final = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.S)
_TOLD: Final = {
    "singles": "a death at each point of each workflow",
    "pairs": "deaths at pairs of points of the small ones",
    "storms": "storms: most processes die",
    "days": "bad days: all kinds of faults",
}


def figures() -> str:
    return "\n".join([*_torture(), "", *_rules(), "", *_limits(), "", *_hostile(), ""])


def _kept(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _torture() -> Iterator[str]:
    kept = load(FILE)
    yield "| simulated | lives | deaths | other faults | lost | repeated |"
    yield "|---|--:|--:|--:|--:|--:|"
    for kind in KINDS:
        one = kept[kind]
        reached = f"; seeds 0 to {one.next - 1:,}" if kind in ("storms", "days") and one.next else ""
        yield (
            f"| {_TOLD[kind]}{reached} | {one.lives:,} | {one.deaths:,} | {sum(one.faults.values()):,} | {one.lost} | "
            f"{one.repeated} |"
        )
    sums = [sum(getattr(kept[kind], name) for kind in KINDS) for name in ("lives", "deaths", "lost", "repeated")]
    faults = sum(sum(kept[kind].faults.values()) for kind in KINDS)
    yield f"| **in sum** | {sums[0]:,} | {sums[1]:,} | {faults:,} | {sums[2]} | {sums[3]} |"
    fronts = sum(len(of.fronts) for of in (*SHAPES, *WORKFLOWS))
    yield ""
    yield (
        f"{len(SHAPES)} workflows of the corpus, {len(WORKFLOWS)} hard ones, {fronts} with their fronts, and a random one for "
        f"each seed. CPU: {sum(kept[kind].cpu_s for kind in KINDS) / 60:,.0f} minutes."
    )


def _rules() -> Iterator[str]:
    yield "| rules | |"
    yield "|---|--:|"
    yield f"| mutations of the code | {len(MUTATIONS)} |"
    yield f"| rules of the protocol's model, each of them needed | {len(RULES)} |"
    yield f"| ways to show that | {len(PROOFS)} |"
    yield f"| shapes that the model searches | {len(MODELLED) + 2 * len(WAITS)} |"
    yield f"| rules of the model of long lives | {len(LIFE_RULES)} |"


def _limits() -> Iterator[str]:
    yield "| limits | |"
    yield "|---|---|"
    for one in _kept(LIMITS).values():
        shown = ", ".join(f"{value:,.4g} {what}" for what, value in one["figures"].items())
        yield f"| {one['what']} | {shown} |"


def _hostile() -> Iterator[str]:
    kept = _kept(HOSTILE)
    yield "| hostile input | blows | wrong |"
    yield "|---|--:|--:|"
    for name, one in kept.items():
        yield f"| {name} | {one['next']:,} | {one['wrong']} |"
    yield f"| **in sum** | {sum(one['next'] for one in kept.values()):,} | {sum(one['wrong'] for one in kept.values())} |"


def made(page: str) -> str:
    """The page with the figures of now."""
    return _FIGURES.sub(lambda found: f"{found[1]}{figures()}{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text()))
