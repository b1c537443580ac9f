"""The cost of watching a session: patches for a page (T11), subscribers (T12)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import msgspec
from core_speed import grow, ingest, talking
from gauge import Row, Target, Times, interleave, median, missing, row
from streams import SESSION, delta

from duologue.core import Record, Session, State, Store

__all__ = ["measure"]

T11_SIZE = Target("T11", 200, 100, unit="B")
T11_TIME = Target("T11", 1.0, 1.0, unit="us")
T12_PLAIN = Target("T12", 60, 30, unit="ns")
T12_OTHERS = Target("T12", 1.0, 0.1, unit="us")

#: Subscribers, and records in a round.
_MANY, _RECORDS = 10_000, 200
_PLAIN = 100
#: More rounds, because subscribers cost little compared with the fold.
_ROUNDS = 15


def measure() -> list[Row]:
    """The patch of a text delta, and the calls of subscribers."""
    return [*_patches(), *_subscribers()]


# --- T11 ---------------------------------------------------------------------


def _patches() -> list[Row]:
    sized = "patch of a delta, the largest of 100 to 10k items, 10 to 10k deltas"
    timed = "patch of a delta at 1k items"
    if find_spec("duologue.core.views.view_patch") is None:
        return [
            missing(T11_SIZE, sized, "not there"),
            missing(T11_TIME, timed, "not there"),
        ]
    from duologue.core.views.view_patch import patch

    steps = {
        "100 items": _step(grow(100), 50),
        "1k items": _step(grow(1_000), 500),
        "10k items": _step(grow(10_000), 5_000),
        "10 deltas": _step(talking(10), 0),
        "10k deltas": _step(talking(10_000), 0),
    }
    sizes = [len(msgspec.json.encode(patch(*step))) for step in steps.values()]
    cases = {name: (_repeat(patch, step), _RECORDS) for name, step in steps.items()}
    times = interleave(cases)
    flat = times.ratio("10k items", "100 items"), times.ratio("10k deltas", "10 deltas")
    timed += f" (x{flat[0]:.2f} at 10k to 100, x{flat[1]:.2f} after 10k to 10 deltas)"
    return [
        row(T11_SIZE, sized, max(sizes)),
        # The time has no must: it is the second half of the stretch.
        {**row(T11_TIME, timed, median(times["1k items"])), "must": ""},
    ]


def _step(state: State, number: int) -> tuple[Session, Session, Record]:
    """A session before and after one more delta of turn ``number``, and its record."""
    state = ingest(state, [delta(number, at) for at in range(800_000, 800_002)])
    frame = delta(number, 900_000)
    record = Record.of(frame, seq=1, session=SESSION, dir="in", at=1e9)
    after = ingest(state, [frame])
    return state.sessions[SESSION], after.sessions[SESSION], record


def _repeat(work: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(_RECORDS):
            work(*args)

    return repeated


# --- T12 ---------------------------------------------------------------------


def _subscribers() -> list[Row]:
    crowds: dict[str, list[dict[str, Any]]] = {
        "none": [],
        "plain": [{"session": SESSION}] * _PLAIN,
        "others": list(_elsewhere()),
    }
    cases = {name: (_tell(crowd), _RECORDS) for name, crowd in crowds.items()}
    times = interleave(cases, rounds=_ROUNDS)
    what = "subscribers of other slices and sessions"
    if not _has_slices():
        what = "subscribers of other sessions (slices: not there)"
    return [
        row(T12_PLAIN, "one more plain subscriber", _each(times)),
        row(
            T12_OTHERS,
            f"{_MANY:,} {what}, all together",
            max(0.0, times.more("others", "none")),
        ),
    ]


def _each(times: Times) -> float:
    """Nanoseconds for each of the plain subscribers."""
    return times.more("plain", "none") * 1000 / _PLAIN


def _has_slices() -> bool:
    return "slice" in inspect.signature(Store.subscribe).parameters


def _elsewhere() -> Iterator[dict[str, Any]]:
    """The scopes of subscribers that a delta does not concern."""
    for number in range(_MANY):
        if number % 2 or not _has_slices():
            yield {"session": f"other {number}"}
        else:
            yield {"session": SESSION, "slice": "connection"}


def _tell(crowd: list[dict[str, Any]]) -> Callable[[], None]:
    """Dispatch the next deltas to a store with these subscribers."""
    store = Store(grow(1_000))
    for where in crowd:
        store.subscribe(_hear, **where)
    # A round runs everything twice.
    batches = iter([_deltas(number) for number in range(2 * _ROUNDS)])

    def dispatch() -> None:
        for record in next(batches):
            store.dispatch(record)

    return dispatch


def _deltas(number: int) -> list[Record]:
    frames = [delta(500, 800_000 + number * _RECORDS + at) for at in range(_RECORDS)]
    return [
        Record.of(frame, seq=at, session=SESSION, dir="in", at=1e9)
        for at, frame in enumerate(frames, start=1)
    ]


def _hear(before: State, record: Record, after: State) -> None:
    """Do nothing."""
