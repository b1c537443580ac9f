"""One state, one place where records come in."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

from duologue.core import (
    Record,
    SessionKind,
    State,
    Store,
    events,
    fold,
    select_transcripts,
)
from duologue.core.store import Dispatch

from .strategies import Talk, talks
from .talk import to_record

ERROR = {"type": "error", "error": {}}


def noted(
    store: Store, session: str | None = None
) -> tuple[list[int], Callable[[], None]]:
    """The seqs of the records that a subscriber was told of."""
    seqs: list[int] = []
    return seqs, store.subscribe(lambda _, r, __: seqs.append(r.seq), session=session)


@given(talks(max_size=3))
def test_it_is_the_fold_of_its_records(talk: Talk) -> None:
    """What is fed folds as a log does."""
    store = Store()
    records = [store.feed("s", frame, at=1.0) for frame in talk.frames]

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
    """All are the same record."""
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
    """In the order of subscription; until they unsubscribe."""
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
    """They hear of no other, whatever it is called."""
    store = Store()
    every, _ = noted(store)
    mine, _ = noted(store, "mine")
    nameless, _ = noted(store, "")
    for seq, session in enumerate(["mine", "other", ""], start=1):
        store.dispatch(to_record(ERROR, seq, session=session))

    assert (every, mine, nameless) == ([1, 2, 3], [1], [3])


def test_a_raising_subscriber_is_isolated() -> None:
    """The others are served, its errors are kept, a hundred of them."""
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
    """An interrupt is not swallowed; who was not told is told with the next record."""
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

    assert seqs == [2, 3]


def test_a_subscriber_that_dispatches() -> None:
    """It has its state at once; all are told of the records in one order."""
    store, states = Store(), []

    def answer(_: State, record: Record, __: State) -> None:
        if record.seq == 1:
            store.feed("s", ERROR, at=None)
            states.append(store.state.sessions["s"].tally.events)

    store.subscribe(answer)
    seqs, _ = noted(store)
    store.feed("s", ERROR, at=None)

    assert (states, seqs) == ([2], [1, 2])


def test_unsubscribing_another_takes_effect_at_once() -> None:
    """Nobody is called after its end."""
    store = Store()
    ends: list[Callable[[], None]] = []
    store.subscribe(lambda *_: ends[0]())
    seqs, end = noted(store)
    ends.append(end)
    store.feed("s", ERROR, at=None)

    assert seqs == []


def test_seq_goes_on() -> None:
    """After a record from elsewhere, and after a snapshot."""
    store = Store()
    store.dispatch(to_record(ERROR, 7))
    store.dispatch(to_record(ERROR, 3))
    resumed = Store(store.state)

    assert (
        store.feed("s", ERROR, at=None).seq,
        resumed.feed("s", ERROR, at=None).seq,
    ) == (8, 3)


def test_a_forgotten_session_begins_anew() -> None:
    """It leaves nothing behind, its numbers neither."""
    store = Store()
    store.feed("s", ERROR, at=None)
    store.feed("s", {"type": "duologue.forgotten"}, at=None, dir="local")

    assert store.session("s") is None
    assert store.feed("s", ERROR, at=None).seq == 1


def test_frames_are_decoded_by_the_kind_of_their_session() -> None:
    """A translation's shared names mean translations once it is known as one."""
    store = Store()
    session: Any = {"type": "translation"}
    store.feed("s", {"type": "session.created", "session": session}, at=None)
    record = store.feed("s", {"type": "session.updated", "session": {}}, at=None)

    assert isinstance(record.event, events.TranslationSessionUpdated)
    assert store.state.sessions["s"].connection.kind == SessionKind.TRANSLATION


def test_middleware() -> None:
    """The first is the outermost; one that passes nothing on changes nothing."""
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
    """Two may watch the same one."""
    store = Store()
    first, end = noted(store, "s")
    second, end_second = noted(store, "s")
    end()
    store.feed("s", ERROR, at=None)
    end_second()
    store.feed("s", ERROR, at=None)

    assert (first, second) == ([], [1])
