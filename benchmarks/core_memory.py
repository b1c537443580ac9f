"""The memory of the core: T8 and T9, by `tracemalloc`."""

from __future__ import annotations

import gc
import sys
import tracemalloc

from core_speed import ingest
from gauge import Row, Target, row
from streams import EVENTS, opening, turn

from duologue.core import State

__all__ = ["measure"]

T8 = Target("T8", 1.6, 0.8, unit="KB")
T9 = Target("T9", 2.0, 1.6, unit="KB")

_ITEMS, _STATES = 1_000, 10_000


def measure() -> list[Row]:
    """KB of a state, if all are kept, and of an item in a live session."""
    frames = opening() + _turns(0, _ITEMS // 2)
    more = _turns(_ITEMS // 2, -(-_STATES // EVENTS))[:_STATES]
    tracemalloc.start()
    try:
        begin = _traced()
        state = ingest(State(), frames)
        live = _traced() - begin
        begin = _traced()
        kept = []
        for frame in more:
            state = ingest(state, [frame])
            kept.append(state)
        retained = _traced() - begin - sys.getsizeof(kept)
    finally:
        tracemalloc.stop()
    share = live / sum(map(len, frames))
    what = f"an item of a live session of {_ITEMS:,} ({share:.0%} of the wire's bytes)"
    return [
        row(T8, f"a state, all {_STATES:,} kept", retained / _STATES / 1024),
        row(T9, what, live / _ITEMS / 1024),
    ]


def _turns(first: int, count: int) -> list[bytes]:
    return [frame for number in range(first, first + count) for frame in turn(number)]


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
