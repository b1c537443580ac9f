"""The speed of the core beside the packages that do a part of its work: T1 to T12.

"ingest+reduce" is what a user does: bytes to a new state, by `Record.of` and `reduce`,
or by `Store.feed`. All is measured in one process, interleaved, on thread CPU time.
T10 compares with JavaScript in a process of its own and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import peers
from gauge import Row, Target, Times, interleave, median, missing, row
from streams import DELTAS, SESSION, delta, opening, short_turn, turn

from duologue.core import Record, State, Store, reduce

__all__ = ["grow", "measure", "turns"]

#: Turns in a round of a quick case.
TURNS = 8

T1 = Target("T1", 12, 22, more=True)
T2 = Target("T2", 1.5, 2.5, more=True)
T3 = {
    100: Target("T3", 8, 15, more=True),
    1_000: Target("T3", 20, 40, more=True),
    10_000: Target("T3", 200, 400, more=True),
}
T4 = Target("T4", 9, 4.5)
T5 = Target("T5", 1.9, 0.9)
T6 = Target("T6", 1.5, 1.2)
T7 = Target("T7", 1.2, 1.05)

#: Our two ways from bytes to a new state.
WAYS = {"reduce": "Record.of + reduce", "feed": "Store.feed"}


def measure() -> list[Row]:
    """All figures of the speed of ingest and reduce, T1 to T7."""
    times = _against_others()
    return [
        *_ratios(times),
        *_flat_in_items(),
        *_flat_in_deltas(),
        *_absolute(times),
    ]


# --- Ours --------------------------------------------------------------------


def ingest(state: State, frames: Sequence[bytes]) -> State:
    """The state after these frames, by `Record.of` and `reduce`."""
    for seq, frame in enumerate(frames, start=1):
        record = Record.of(frame, seq=seq, session=SESSION, dir="in", at=1e9)
        state = reduce(state, record)
    return state


def feed(state: State, frames: Sequence[bytes]) -> State:
    """The state after these frames, by `Store.feed`."""
    store = Store(state)
    for frame in frames:
        store.feed(SESSION, frame, at=1e9)
    return store.state


@cache
def grow(items: int) -> State:
    """The state of one session with so many items: full turns up to a thousand."""
    make = turn if items <= 1_000 else short_turn
    state = ingest(State(), opening())
    for number in range(items // 2):
        state = ingest(state, make(number))
    assert len(state.sessions[SESSION].items) == items
    return state


def turns(items: int, count: int = TURNS) -> list[bytes]:
    """The frames of the next turns of a session with so many items."""
    first = items // 2
    return [frame for number in range(first, first + count) for frame in turn(number)]


# --- Beside others -----------------------------------------------------------


def _against_others() -> Times:
    """T1 to T5: everything in one set of rounds, so that every ratio is of a pair."""
    cases: dict[str, Any] = {}
    for items in T3:
        state, frames = grow(items), turns(items)
        ours = {"reduce": ingest, "feed": feed}
        for name, way in ours.items():
            cases[f"{name} {items}"] = (_bound(way, state, frames), len(frames))
        # One turn of it takes long enough where the history is long.
        few = turns(items, 1 if items > 1_000 else 2)
        work = peers.agents_full_path([f"item_{n:021d}" for n in range(items)])
        if work is not None:
            cases[f"agents {items}"] = (_bound(work, few), len(few))
    frames = turns(1_000)
    decode = msgspec.json.Decoder().decode
    cases["floor"] = (_bound(_each, decode, frames), len(frames))
    cases["json"] = (_bound(_each, json.loads, frames), len(frames))
    few = frames[: len(frames) // 4]
    for name, work in {
        "openai": peers.openai_parse(),
        "validation": peers.agents_validation(),
    }.items():
        if work is not None:
            cases[name] = (_bound(work, few), len(few))
    return interleave(cases)


def _ratios(times: Times) -> list[Row]:
    rows = []
    agents = f"openai-agents {peers.version('openai-agents')}"
    for way, name in WAYS.items():
        ours = f"{way} 1000"
        what = f"{name}, 1k items, faster than openai {peers.version('openai')} parse"
        rows.append(_faster(times, T1, what, "openai", ours))
        what = f"{name}, 1k items, faster than {agents} validation"
        rows.append(_faster(times, T2, what, "validation", ours))
        for items, target in T3.items():
            what = f"{name}, {items:,} items, faster than {agents}, whole path"
            other = f"agents {items}"
            rows.append(_faster(times, target, what, other, f"{way} {items}"))
        what = f"{name}, 1k items, by the time of msgspec to dict"
        rows.append(row(T4, what, times.ratio(ours, "floor")))
        what = f"{name}, 1k items, by the time of json.loads"
        rows.append(row(T5, what, times.ratio(ours, "json")))
    return sorted(rows, key=lambda row: row["id"])


def _faster(times: Times, target: Target, what: str, peer: str, ours: str) -> Row:
    if peer not in times:
        return missing(target, what, "not installed")
    return row(target, what, times.ratio(peer, ours))


def _absolute(times: Times) -> list[Row]:
    """What the ratios are made of, for information."""
    return [
        {"id": "", "what": f"{name}, us an event", "value": round(median(figures), 2)}
        for name, figures in times.items()
    ]


def _each(decode: Any, frames: Sequence[bytes]) -> None:
    for frame in frames:
        decode(frame)


def _bound(work: Any, *args: Any) -> Any:
    return lambda: work(*args)


# --- Flatness ----------------------------------------------------------------


def _flat_in_items() -> list[Row]:
    few, many = 100, 100_000
    cases = {}
    for items in (few, many):
        frames = turns(items)
        cases[str(items)] = (_bound(ingest, grow(items), frames), len(frames))
    times = interleave(cases)
    what = f"an event at {many:,} items, by the time at {few}"
    return [row(T6, what, times.ratio(str(many), str(few)))]


def _flat_in_deltas() -> list[Row]:
    few, many = 10, 100_000
    cases = {}
    for count in (few, many):
        state = _talking(count)
        frames = [delta(0, count + at) for at in range(TURNS * DELTAS)]
        cases[str(count)] = (_bound(ingest, state, frames), len(frames))
    times = interleave(cases)
    what = f"a delta after {many:,} in its item, by the time after {few}"
    return [row(T7, what, times.ratio(str(many), str(few)))]


def _talking(count: int) -> State:
    """A session in whose reply so many deltas have come."""
    begun = next(at for at, frame in enumerate(turn(0)) if b"transcript.delta" in frame)
    state = ingest(State(), [*opening(), *turn(0)[:begun]])
    return ingest(state, [delta(0, 10_000_000 + at) for at in range(count)])
