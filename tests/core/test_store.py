"""The store: state, subscribers, cursors and middleware."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import weakref
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import (
    Record,
    SessionKind,
    State,
    Store,
    encode,
    events,
    fold,
    select_transcripts,
)
from duologue.core.effects import commands
from duologue.core.store import SLICES, Change, Dispatch, Resync
from duologue.core.testing.stream import Stream
from duologue.core.wire.frames import check

from .strategies import legal
from .talk import Service, to_record

ERROR = {"type": "error", "error": {}}


def noted(
    store: Store, session: str | None = None, slice: str | None = None
) -> tuple[list[int], Callable[[], None]]:
    """The ``seq`` of each record that a subscriber was called with."""
    seqs: list[int] = []
    return seqs, store.subscribe(
        lambda _, r, __: seqs.append(r.seq), session=session, slice=slice
    )


@given(legal(2))
def test_it_is_the_fold_of_its_records(stream: Stream) -> None:
    """The state is the fold of the records that `feed` returns."""
    store = Store()
    records = [
        store.feed("s", record.frame, at=1.0, dir=record.dir, epoch=record.epoch)
        for record in stream
    ]

    assert fold(records) == store.state
    assert list(range(1, len(records) + 1)) == [record.seq for record in records]


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"error","error":{}}',
        '{"type":"error","error":{}}',
        {"type": "error", "error": {}},
        MappingProxyType({"type": "error", "error": {}}),
    ],
)
def test_feed_takes_bytes_text_and_mappings(frame: Any) -> None:
    """Bytes, text and mappings give the same record."""
    record = Store().feed("s", frame, at=2.0, epoch=1, dir="in", src="sideband")

    assert (
        Record.of(
            b'{"type":"error","error":{}}',
            seq=1,
            session="s",
            dir="in",
            at=2.0,
            epoch=1,
            src="sideband",
        )
        == record
    )


def test_subscribers_get_before_record_and_after() -> None:
    """Subscribers are called in order of subscription, until they unsubscribe."""
    store, told = Store(), []
    store.subscribe(lambda *args: told.append(("one", *args)))
    end = store.subscribe(lambda *args: told.append(("two", *args)))
    record = store.feed("s", ERROR, at=None)
    after = store.state
    end()
    end()
    store.feed("s", ERROR, at=None)

    assert [("one", State(), record, after), ("two", State(), record, after)] == told[
        :2
    ]
    assert [who for who, *_ in told] == ["one", "two", "one"]


def test_subscribers_of_one_session() -> None:
    """A subscriber of a session is not called for other sessions."""
    store = Store()
    every, _ = noted(store)
    mine, _ = noted(store, "mine")
    nameless, _ = noted(store, "")
    for seq, session in enumerate(["mine", "other", ""], start=1):
        store.dispatch(to_record(ERROR, seq, session=session))

    assert (every, mine, nameless) == ([1, 2, 3], [1], [3])


def test_a_raising_subscriber_is_isolated() -> None:
    """The other subscribers are called; the store keeps the last hundred errors."""
    store = Store()

    def fail(*_: Any) -> None:
        raise ValueError(len(store.failures))

    store.subscribe(fail)
    seqs, _ = noted(store)
    for _n in range(150):
        store.feed("s", ERROR, at=None)

    assert list(range(1, 151)) == seqs
    assert len(store.failures) == 100
    assert {ValueError} == {type(error) for error in store.failures}


def test_what_is_no_error_goes_through() -> None:
    """An interrupt is raised after every subscriber got every record."""
    store, interrupts = Store(), [KeyboardInterrupt()]

    def interrupt(*_: Any) -> None:
        if interrupts:
            store.feed("s", ERROR, at=None)
            raise interrupts.pop()

    store.subscribe(interrupt)
    seqs, _ = noted(store)
    with pytest.raises(KeyboardInterrupt):
        store.feed("s", ERROR, at=None)
    store.feed("s", ERROR, at=None)

    assert seqs == [1, 2, 3]


def test_a_subscriber_that_dispatches() -> None:
    """The new state is visible at once; all subscribers see the same order."""
    store, states = Store(), []

    def answer(_: State, record: Record, __: State) -> None:
        if record.seq == 1:
            store.feed("s", ERROR, at=None)
            states.append(store.state.sessions["s"].dedup.events)

    store.subscribe(answer)
    seqs, _ = noted(store)
    store.feed("s", ERROR, at=None)

    assert (states, seqs) == ([2], [1, 2])


def test_unsubscribing_another_takes_effect_at_once() -> None:
    """No subscriber is called after it has unsubscribed."""
    store = Store()
    ends: list[Callable[[], None]] = []
    store.subscribe(lambda *_: ends[0]())
    seqs, end = noted(store)
    ends.append(end)
    store.feed("s", ERROR, at=None)

    assert seqs == []


def test_seq_goes_on() -> None:
    """``seq`` continues after a dispatched record and after a snapshot."""
    store = Store()
    store.dispatch(to_record(ERROR, 7))
    store.dispatch(to_record(ERROR, 3))
    resumed = Store(store.state)

    assert (
        store.feed("s", ERROR, at=None).seq,
        resumed.feed("s", ERROR, at=None).seq,
    ) == (8, 3)


def test_a_forgotten_session_begins_anew() -> None:
    """The session is removed, and ``seq`` begins again."""
    store = Store()
    store.feed("s", ERROR, at=None)
    store.feed("s", {"type": "duologue.forgotten"}, at=None, dir="local")

    assert store.session("s") is None
    assert store.feed("s", ERROR, at=None).seq == 1


def test_a_session_is_forgotten_only_by_a_local_fact() -> None:
    """A service cannot remove a session, and ``seq`` goes on."""
    store = Store()
    store.feed("s", ERROR, at=None)
    store.feed("s", {"type": "duologue.forgotten"}, at=None, dir="in")

    assert [problem.kind for problem in store.state.sessions["s"].problems] == ["error"]
    assert store.feed("s", ERROR, at=None).seq == 3


def test_dispatch_takes_records_only() -> None:
    """Another type raises, and the state does not change."""
    store = Store()
    with pytest.raises(TypeError, match="the record must be Record, not dict"):
        store.dispatch(cast(Any, {}))
    assert store.state == State()


def test_nothing_is_kept_of_a_forgotten_session() -> None:
    """A store with subscribers does not grow by sessions that come and go."""

    class Id(str):
        """An id that can be watched."""

    store, ids = Store(), weakref.WeakSet[Id]()
    noted(store)
    for name in "abc":
        ids.add(session := Id(name))
        store.feed(session, ERROR, at=None)
        store.feed(session, {"type": "duologue.forgotten"}, at=None, dir="local")
    del session
    # The store keeps the last record.
    store.feed("other", ERROR, at=None)
    gc.collect()

    assert set(ids) == set()


def test_frames_are_decoded_by_the_kind_of_their_session() -> None:
    """In a translation, shared event types decode to its classes."""
    store = Store()
    session: Any = {"type": "translation"}
    store.feed("s", {"type": "session.created", "session": session}, at=None)
    record = store.feed("s", {"type": "session.updated", "session": {}}, at=None)

    assert isinstance(record.event, events.TranslationSessionUpdated)
    assert store.state.sessions["s"].connection.kind == SessionKind.TRANSLATION


def test_middleware() -> None:
    """The first middleware is the outermost; a dropped record changes nothing."""
    passed: list[str] = []

    def named(name: str, stop: bool = False) -> Any:
        def wrap(store: Store, dispatch: Dispatch) -> Dispatch:
            def around(record: Record) -> State:
                passed.append(name)
                return store.state if stop else dispatch(record)

            return around

        return wrap

    open_ = Store(middleware=(named("one"), named("two")))
    shut = Store(middleware=(named("shut", stop=True),))
    open_.feed("s", ERROR, at=None)
    shut.feed("s", ERROR, at=None)

    assert (["one", "two", "shut"], State()) == (passed, shut.state)
    assert select_transcripts(open_.state.sessions["s"]) == ()


def test_unsubscribing_leaves_the_others_of_a_session() -> None:
    """Two subscribers of the same session are independent."""
    store = Store()
    first, end = noted(store, "s")
    second, end_second = noted(store, "s")
    end()
    store.feed("s", ERROR, at=None)
    end_second()
    store.feed("s", ERROR, at=None)

    assert (first, second) == ([], [1])


# Slices.


def test_subscribers_of_a_slice() -> None:
    """They are called only if a record changes this node of their session."""
    store = Store()
    problems, _ = noted(store, slice="problems")
    mine, _ = noted(store, "mine", "problems")
    activity, _ = noted(store, slice="activity")
    muted = {"type": "duologue.muted", "muted": True}
    frames: list[Any] = [(ERROR, "mine"), (muted, "mine"), (muted, "mine")]
    for seq, (frame, session) in enumerate([*frames, (ERROR, "other")], start=1):
        store.dispatch(to_record(frame, seq, session=session))

    # A new session changes all of its nodes.
    assert (problems, mine, activity) == ([1, 4], [1], [1, 2, 4])


def test_a_session_that_goes_changes_all_of_its_slices() -> None:
    """Subscribers of every slice are called when the session is forgotten."""
    store = Store()
    store.feed("s", ERROR, at=None)
    told = [noted(store, "s", slice)[0] for slice in SLICES]
    store.feed("s", {"type": "duologue.forgotten"}, at=None, dir="local")

    assert [[2]] * len(SLICES) == told


def test_a_slice_by_its_old_name() -> None:
    """The error names the new slice."""
    store = Store()
    with pytest.raises(ValueError, match="'ledger' is now 'usage' and 'problems'"):
        store.subscribe(lambda *_: None, slice="ledger")
    with pytest.raises(ValueError, match="'tally' is now 'dedup'"):
        store.cursor(slice="tally")


def test_a_slice_that_there_is_not() -> None:
    """An unknown slice raises, because its subscriber would never be called."""
    for slice in ("id", "transcripts", ""):
        with pytest.raises(ValueError, match="no slice is called"):
            Store().subscribe(lambda *_: None, slice=slice)


@pytest.mark.parametrize("idle", [0, 10_000])
def test_idle_subscribers_cost_nothing(idle: int) -> None:
    """The number of steps does not depend on the number of idle subscribers."""
    store = Store()
    store.feed("s", ERROR, at=None)
    for n in range(idle):
        store.subscribe(lambda *_: None, slice="problems" if n % 2 else "items")
        store.subscribe(lambda *_: None, session="other")
    told, _ = noted(store, "s", "activity")
    steps = 0

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal steps
        steps += frame.f_code.co_filename.endswith("store.py")
        return count

    record = to_record({"type": "duologue.muted", "muted": True}, 2)
    before = sys.gettrace()
    sys.settrace(count)
    try:
        store.dispatch(record)
    finally:
        sys.settrace(before)

    assert told == [2]
    assert steps < 200


def test_a_subscription_during_a_record() -> None:
    """A new subscriber is called from the next record on, in every slice."""
    store = Store()
    told: list[list[int]] = []

    def begin(_: State, record: Record, __: State) -> None:
        if record.seq == 1:
            told.extend(noted(store, slice=slice)[0] for slice in (None, "problems"))

    store.subscribe(begin)
    store.feed("s", ERROR, at=None)
    store.feed("s", ERROR, at=None)

    assert told == [[2], [2]]


def test_a_cancellation_is_not_swallowed() -> None:
    """The first `BaseException` is raised and is not among the failures."""
    store = Store()

    def fail(error: BaseException) -> Callable[..., None]:
        def raise_it(*_: Any) -> None:
            raise error

        return raise_it

    store.subscribe(fail(asyncio.CancelledError()))
    store.subscribe(fail(KeyboardInterrupt()))
    store.subscribe(fail(ValueError()))
    with pytest.raises(asyncio.CancelledError):
        store.feed("s", ERROR, at=None)

    assert [ValueError] == [type(error) for error in store.failures]


def test_an_end_is_idempotent() -> None:
    """A second unsubscribe does not affect other subscribers of the slice."""
    store = Store()
    others, _ = noted(store, "s", "items")
    _, end = noted(store, "s", "problems")
    end()
    end()
    seqs, end_other = noted(store, "s", "problems")
    end()
    store.feed("s", ERROR, at=None)
    end_other()

    assert (seqs, others) == ([1], [1])


# Cursors.


def test_a_cursor_gives_what_a_subscriber_gets() -> None:
    """A cursor gives the changes one by one, or all at once."""
    store = Store()
    with store.cursor() as cursor:
        states = [store.state]
        records = []
        for _ in range(3):
            records.append(store.feed("s", ERROR, at=None))
            states.append(store.state)
        assert len(cursor) == 3
        changes = [
            Change(before, record, after)
            for before, record, after in zip(states, records, states[1:], strict=False)
        ]

        assert [cursor.pull(), *cursor] == changes
        assert (cursor.pull(), [*cursor], len(cursor)) == (None, [], 0)
    store.feed("s", ERROR, at=None)
    assert cursor.pull() is None


def test_a_cursor_of_one_slice() -> None:
    """Changes of other slices are not queued."""
    store = Store()
    store.feed("s", ERROR, at=None)
    cursor = store.cursor(session="s", slice="problems", limit=1)
    for _ in range(5):
        store.feed("other", ERROR, at=None)
        store.feed("s", {"type": "duologue.tick"}, at=None, dir="local")
    store.feed("s", ERROR, at=None)

    assert [c.record.seq for c in cursor if isinstance(c, Change)] == [7]


@pytest.mark.parametrize("more", [0, 1, 7])
def test_a_cursor_that_is_overrun(more: int) -> None:
    """After an overflow, the pull gives one `Resync` with the state at that time."""
    store = Store()
    cursor = store.cursor(limit=3)
    for _ in range(4 + more):
        store.feed("s", ERROR, at=None)

    assert len(cursor) == 1
    assert [Resync(4 + more, store.state)] == [*cursor]
    record = store.feed("s", ERROR, at=None)
    (change,) = cursor
    assert isinstance(change, Change)
    assert (change.record, change.after) == (record, store.state)


def test_a_closed_cursor_is_empty() -> None:
    """A closed cursor is empty, even after an overflow."""
    store = Store()
    for limit in (1, 9):
        cursor = store.cursor(limit=limit)
        store.feed("s", ERROR, at=None)
        store.feed("s", ERROR, at=None)
        cursor.close()
        cursor.close()
        store.feed("s", ERROR, at=None)
        assert (cursor.pull(), len(cursor)) == (None, 0)


def test_a_cursor_that_could_keep_nothing() -> None:
    """A limit of 0 raises at once."""
    with pytest.raises(ValueError, match="limit is 0"):
        Store().cursor(limit=0)


# Middleware of an application.


def logging(log: list[str]) -> Any:
    """A middleware that logs each record with the status of the session."""

    def wrap(store: Store, dispatch: Dispatch) -> Dispatch:
        def around(record: Record) -> State:
            after = dispatch(record)
            session = after.sessions.get(record.session)
            status = session.connection.status if session else "gone"
            log.append(f"{record.session} {record.seq} {record.event.type}: {status}")
            return after

        return around

    return wrap


def redacting(secret: str) -> Any:
    """A middleware that removes a word from the state and the log."""

    def wrap(store: Store, dispatch: Dispatch) -> Dispatch:
        def around(record: Record) -> State:
            frame = record.frame.replace(secret.encode(), b"\xe2\x96\x88")
            return dispatch(
                Record.of(
                    frame,
                    seq=record.seq,
                    session=record.session,
                    dir=record.dir,
                    at=record.at,
                    epoch=record.epoch,
                )
            )

        return around

    return wrap


def test_a_logging_middleware() -> None:
    """A middleware has the state after each record."""
    log: list[str] = []
    store = Store(middleware=(logging(log),))
    store.feed("s", {"type": "duologue.connected"}, at=None, dir="local")
    store.feed("s", {"type": "duologue.forgotten"}, at=None, dir="local")

    assert log == ["s 1 duologue.connected: open", "s 2 duologue.forgotten: gone"]


def test_a_redacting_middleware() -> None:
    """`feed` returns the redacted record, so the word is not in the log either."""
    store = Store(middleware=(redacting("swordfish"),))
    service = Service()
    service.typed("it is swordfish")
    records = [store.feed("s", frame, at=1.0) for frame in service.frames]
    session = store.state.sessions["s"]

    assert [line.text for line in select_transcripts(session)] == ["it is █"]
    assert b"swordfish" not in b"".join(record.frame for record in records)
    assert fold(records) == store.state


class Odd:
    """An object that cannot be encoded as JSON."""


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (None, TypeError, "not NoneType"),
        (Odd(), TypeError, "to_json"),
        (["type"], TypeError, "not list"),
        ({"type": Odd()}, ValueError, "cannot be JSON"),
        ({"type": "\ud83d"}, ValueError, "cannot be JSON"),
    ],
)
def test_frames_that_are_none(frame: Any, error: type[Exception], message: str) -> None:
    """An invalid frame raises, and the state does not change."""
    store = Store()
    with pytest.raises(error, match=message):
        store.feed("s", frame, at=0.0)
    assert store.state == State()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"session_id": 7}, TypeError, "session_id must be str"),
        ({"dir": "IN"}, ValueError, "dir is 'IN'"),
        ({"at": "1.0"}, TypeError, "at is seconds"),
        ({"at": float("nan")}, ValueError, "at is nan"),
        ({"at": float("-inf")}, ValueError, "at is -inf"),
        ({"epoch": "0"}, TypeError, "epoch must be int"),
        ({"epoch": -1}, ValueError, "epoch is -1"),
    ],
)
def test_what_a_record_cannot_hold(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """An invalid argument raises, and the state does not change."""
    store = Store()
    given: dict[str, Any] = {"session_id": "s", "frame": b"{}", "at": 0.0, **arguments}
    with pytest.raises(error, match=message):
        store.feed(**given)
    assert store.state == State()


@given(
    session_id=st.text() | st.integers(),
    at=st.floats() | st.none() | st.integers() | st.booleans() | st.just("1"),
    dir=st.sampled_from(["in", "out", "local", "IN", None]),
    epoch=st.integers(-2) | st.booleans() | st.floats(),
    src=st.none() | st.text(st.characters(exclude_categories=())) | st.integers(),
)
def test_feed_checks_as_its_check_does(session_id: Any, **given: Any) -> None:
    """`feed` accepts and rejects the same arguments as `check`."""
    wrong: Exception | None = None
    try:
        check(session_id, **given)
    except (TypeError, ValueError) as error:
        wrong = error
    if wrong is None:
        Store().feed(session_id, b"{}", **given)
        return
    with pytest.raises(type(wrong), match=re.escape(str(wrong))):
        Store().feed(session_id, b"{}", **given)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
def test_a_frame_as_it_came(kind: Callable[[bytes], Any]) -> None:
    """Text and all types of bytes give the same state."""
    frame = b'{"type":"error","event_id":"e","error":{"message":"m"}}'
    expected, store = Store(), Store()
    expected.feed("s", frame, at=0.0)
    store.feed("s", kind(frame), at=0.0)

    assert store.state == expected.state


def test_an_event_of_ours_is_fed_as_it_is_sent() -> None:
    """An event of `commands` gives the same state as its encoding."""
    event = commands.send_text("hi")
    typed, encoded = Store(), Store()
    typed.feed("s", event, at=0.0, dir="out")
    encoded.feed("s", encode(event), at=0.0, dir="out")

    assert typed.state == encoded.state


def test_a_record_that_is_dropped_has_a_number_of_its_own() -> None:
    """A dropped record has its own ``seq``; the state stays the same object."""
    store = Store(middleware=(lambda store, go: lambda record: store.state,))
    before = store.state
    seqs = [store.feed("s", b"{}", at=0.0).seq for _ in range(2)]

    assert (seqs, store.state is before) == ([1, 2], True)


def test_middleware_is_a_tuple() -> None:
    """A function in place of a tuple raises a clear error."""
    with pytest.raises(TypeError, match="tuple"):
        Store(middleware=cast(Any, lambda store, go: go))
