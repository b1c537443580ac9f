"""Measuring: interleaved rounds, CPU time of the thread, ratios, verdicts."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["ROUNDS", "Target", "Times", "interleave", "median", "missing", "row"]

Row = dict[str, Any]
#: Rounds of a measurement; its figure is the median of them.
ROUNDS = 9


class Target(NamedTuple):
    """A figure to reach: a ratio (``x``) or an amount in ``unit``."""

    id: str
    must: float
    stretch: float
    unit: str = "x"
    #: Whether more is better: "at least", not "at most".
    more: bool = False

    def reached(self, value: float, figure: float) -> bool:
        """Whether ``value`` reaches a figure."""
        return value >= figure if self.more else value <= figure

    def show(self, figure: float) -> str:
        """A figure as printed in the table."""
        return f"{'>=' if self.more else '<='} {figure:g} {self.unit}".replace(
            " x", "x"
        )


class Times(dict[str, list[float]]):
    """Microseconds per event of each case, one figure for each round."""

    def ratio(self, one: str, other: str) -> float:
        """The time of ``one`` divided by that of ``other``: median of the rounds."""
        pairs = zip(self[one], self[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def more(self, one: str, other: str) -> float:
        """The time of ``one`` minus that of ``other``: median of the rounds."""
        pairs = zip(self[one], self[other], strict=True)
        return statistics.median(a - b for a, b in pairs)


def median(figures: list[float]) -> float:
    """The median of the rounds."""
    return statistics.median(figures)


def interleave(
    cases: Mapping[str, tuple[Callable[[], object], int]], *, rounds: int = ROUNDS
) -> Times:
    """Time every case in every round; a case is its work and the number of events.

    Each case runs once unmeasured first, to fill the caches. Garbage is collected
    between the cases only; objects from before the measurement are frozen.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    times = Times({name: [] for name in cases})
    try:
        for _ in range(rounds):
            for name, (work, events) in cases.items():
                work()
                began = time.thread_time()
                work()
                took = time.thread_time() - began
                times[name].append(took * 1e6 / events)
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return times


def row(target: Target, what: str, value: float) -> Row:
    """The row of a measured figure, with its verdict."""
    verdict = "missed"
    if target.reached(value, target.must):
        verdict = "must holds"
    if target.reached(value, target.stretch):
        verdict = "stretch holds"
    return {**missing(target, what, verdict), "value": float(f"{value:.4g}")}


def missing(target: Target, what: str, why: str) -> Row:
    """The row of a figure that could not be measured; ``why`` is the verdict."""
    return {
        "id": target.id,
        "what": what,
        "value": None,
        "unit": target.unit,
        "must": target.show(target.must),
        "stretch": target.show(target.stretch),
        "verdict": why,
    }
