"""The speed of the core and of packages that do part of its work: T1 to T7, F1, F2.

"reduce" is bytes to a new state by `Record.of` and `reduce` alone. "feed" is the path
of an application: `Store.feed` with one subscriber. All cases run in one process,
interleaved, and are timed in CPU time of the thread. T10 compares with JavaScript, in
another process, and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, partial

import msgspec
import peers
from gauge import Row, Target, Times, interleave, median, missing, row
from streams import DELTAS, SESSION, delta, opening, short_turn, turn

from duologue.core import Record, State, Store, reduce

__all__ = ["grow", "ingest", "measure", "talking", "turns"]

#: Turns in a round of a fast case.
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
F1 = Target("F1", 12, 14, more=True)
F2 = Target("F2", 1.25, 1.15)


def measure() -> list[Row]:
    """All figures of the speed of the core."""
    times, absent = _against_others()
    return [
        *_ratios(times, absent),
        *_flat_in_items(),
        *_flat_in_deltas(),
        *_through_feed(times),
        *_absolute(times),
    ]


# --- Ours --------------------------------------------------------------------


def ingest(state: State, frames: Sequence[bytes]) -> State:
    """The state after these frames, by `Record.of` and `reduce`."""
    make = Record.of
    for seq, frame in enumerate(frames, start=1):
        record = make(frame, seq=seq, session=SESSION, dir="in", at=1e9)
        state = reduce(state, record)
    return state


def feed(state: State, frames: Sequence[bytes]) -> State:
    """The state after these frames, by `Store.feed` with one subscriber."""
    store = Store(state)
    store.subscribe(_ignore)
    for frame in frames:
        store.feed(SESSION, frame, at=1e9)
    return store.state


def _ignore(before: State, record: Record, after: State) -> None:
    """Do nothing."""


@cache
def grow(items: int) -> State:
    """The state of a session with this many items: full turns up to a thousand."""
    make = turn if items <= 1_000 else short_turn
    state = ingest(State(), opening())
    for number in range(items // 2):
        state = ingest(state, make(number))
    assert len(state.sessions[SESSION].items) == items
    return state


def turns(items: int, count: int = TURNS) -> list[bytes]:
    """The frames of the next turns of a session with this many items."""
    first = items // 2
    return [frame for number in range(first, first + count) for frame in turn(number)]


# --- Compared with others -----------------------------------------------------------


def _against_others() -> tuple[Times, dict[str, str]]:
    """The times of all cases, in one set of rounds so that ratios are taken per round.

    The second value has the cases that could not be measured, with the reason.
    """
    cases: dict[str, tuple[Callable[[], object], int]] = {}
    absent: dict[str, str] = {}

    def add(name: str, work: peers.Work | str, frames: Sequence[bytes]) -> None:
        if isinstance(work, str):
            absent[name] = work
        else:
            cases[name] = (partial(work, frames), len(frames))

    for items in T3:
        add(f"reduce {items}", partial(ingest, grow(items)), turns(items))
        add(f"feed {items}", partial(feed, grow(items)), turns(items))
        few = turns(items, 1 if items > 1_000 else 2)
        build = partial(peers.agents_full_path, [f"i_{n:024d}" for n in range(items)])
        add(f"agents {items}", peers.attempt(build, few), few)
    frames, few = turns(1_000), turns(1_000, TURNS // 4)
    add("floor", partial(_each, msgspec.json.Decoder().decode), frames)
    add("json", partial(_each, json.loads), frames)
    add("openai", peers.attempt(peers.openai_parse, few), few)
    add("validation", peers.attempt(peers.agents_validation, few), few)
    return interleave(cases), absent


def _ratios(times: Times, absent: dict[str, str]) -> list[Row]:
    openai = f"openai {peers.version('openai') or ''}".strip()
    agents = f"openai-agents {peers.version('openai-agents') or ''}".strip()
    ours = "reduce 1000"

    def faster(target: Target, what: str, peer: str, ours: str = ours) -> Row:
        if peer in absent:
            return missing(target, what, absent[peer])
        return row(target, what, times.ratio(peer, ours))

    feed = "feed 1000"
    return [
        faster(F1, f"1k items, Store.feed, faster than {openai} parse", "openai", feed),
        row(F2, "1k items, Store.feed, by the time of reduce", times.ratio(feed, ours)),
        faster(T1, f"1k items, faster than {openai} parse", "openai"),
        faster(T2, f"1k items, faster than {agents} validation", "validation"),
        *(
            faster(
                target,
                f"{items:,} items, faster than {agents}, whole path",
                f"agents {items}",
                f"reduce {items}",
            )
            for items, target in T3.items()
        ),
        row(T4, "1k items, by the time of msgspec", times.ratio(ours, "floor")),
        row(T5, "1k items, by the time of json.loads", times.ratio(ours, "json")),
    ]


def _through_feed(times: Times) -> list[Row]:
    """T2 to T5 through `Store.feed`, for information: times of the peer by ours."""
    peers = [("validation", 1_000), ("floor", 1_000), ("json", 1_000)]
    peers += [(f"agents {items}", items) for items in T3]
    return [
        {
            "id": "",
            "what": f"{peer}, by the time of Store.feed at {items:,} items",
            "value": round(times.ratio(peer, f"feed {items}"), 2),
        }
        for peer, items in peers
        if peer in times
    ]


def _absolute(times: Times) -> list[Row]:
    """The times behind the ratios, for information."""
    return [
        {"id": "", "what": f"{name}, us an event", "value": round(median(figures), 2)}
        for name, figures in times.items()
    ]


def _each(decode: Callable[[bytes], object], frames: Sequence[bytes]) -> None:
    for frame in frames:
        decode(frame)


# --- Flatness ----------------------------------------------------------------


def _flat_in_items() -> list[Row]:
    few, many = 100, 100_000
    cases = {}
    for items in (few, many):
        frames = turns(items)
        cases[str(items)] = (partial(ingest, grow(items), frames), len(frames))
    times = interleave(cases)
    what = f"an event at {many:,} items, by the time at {few}"
    return [row(T6, what, times.ratio(str(many), str(few)))]


def _flat_in_deltas() -> list[Row]:
    few, many = 10, 100_000
    cases = {}
    for count in (few, many):
        state = talking(count)
        frames = [delta(0, count + at) for at in range(TURNS * DELTAS)]
        cases[str(count)] = (partial(ingest, state, frames), len(frames))
    times = interleave(cases)
    what = f"a delta after {many:,} in its item, by the time after {few}"
    return [row(T7, what, times.ratio(str(many), str(few)))]


def talking(count: int) -> State:
    """A session whose reply has received this many deltas."""
    begun = next(at for at, frame in enumerate(turn(0)) if b"transcript.delta" in frame)
    state = ingest(State(), [*opening(), *turn(0)[:begun]])
    return ingest(state, [delta(0, 10_000_000 + at) for at in range(count)])
