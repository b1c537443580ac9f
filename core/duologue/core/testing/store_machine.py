"""A Hypothesis state machine: a `Store` must agree with a naive model."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from duologue.core.log.record import Record
from duologue.core.log.snapshot import dump, load
from duologue.core.state.model import State
from duologue.core.store import Store

from .mutations import hostile
from .naive_model import Model
from .service_frames import Service, message
from .strategies import records
from .stream import Frame, Stream, direction, shown

__all__ = ["StoreMachine"]

_SESSIONS = st.sampled_from(["a", "b"])
_WORDS = st.sampled_from(["yes ", "no", " and", "語", "é "])


class _Side:
    """One session: its service, its model, and the work in progress."""

    def __init__(self, name: str) -> None:
        self.service = Service(f"{name}_")
        self.model = Model()
        self.epoch = 0
        #: Frames of this epoch that can be repeated.
        self.sent: list[Frame] = []
        #: Items of the user without a transcription.
        self.untranscribed: list[str] = []
        self.speaking: str | None = None
        #: Assistant items in progress, each with its response.
        self.said: list[Frame] = []
        self.count = 0


class StoreMachine(RuleBasedStateMachine):
    """Two sessions in one store, with all kinds of events and faults.

    The steps are speech, text, replies, interruption, deletion, new connections, dump
    and load, forgotten sessions, repeated and unknown events.

    After every step the store must agree with `Model`, and must have called every
    subscriber once for every record. Override `make_store` to test your own store, with
    a middleware that passes every record on (for one that drops some, use
    `check_middleware`):

    >>> from hypothesis import settings
    >>> from hypothesis.stateful import run_state_machine_as_test
    >>> class MyMachine(StoreMachine):
    ...     def make_store(self, state):
    ...         return Store(state, middleware=())
    >>> quick = settings(max_examples=5, stateful_step_count=10, deadline=None)
    >>> run_state_machine_as_test(MyMachine, settings=quick)

    In a test module ``TestMyStore = MyMachine.TestCase`` is enough.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sides = {name: _Side(name) for name in ("a", "b")}
        self.time = 1000.0
        self.told: list[Record] = []
        self.store = self._open(State())

    def make_store(self, state: State) -> Store:
        """The store to test, with this initial state."""
        return Store(state)

    def _open(self, state: State) -> Store:
        store = self.make_store(state)
        _check_store(store, state)
        store.subscribe(lambda before, record, after: self.told.append(record))
        return store

    def _send(self, name: str) -> None:
        """Feed the new frames of a service."""
        side = self.sides[name]
        frames, side.service.frames = side.service.frames, []
        for frame in frames:
            side.model.take(self._feed(name, frame))
            side.sent.append(frame)

    def _feed(self, name: str, frame: Frame | bytes) -> Record:
        side = self.sides[name]
        self.time += 0.1
        record = self.store.feed(
            name, frame, at=self.time, dir=direction(frame), epoch=side.epoch
        )
        told, self.told = self.told, []
        _check_told(record, told)
        side.count += 1
        return record

    # --- The user -----------------------------------------------------------------

    @rule(name=_SESSIONS, words=_WORDS)
    def type(self, name: str, words: str) -> None:
        """The user writes."""
        self.sides[name].service.typed(words)
        self._send(name)

    @rule(name=_SESSIONS)
    def speak_or_fall_silent(self, name: str) -> None:
        """The user begins to speak, or stops."""
        side = self.sides[name]
        if side.speaking is None:
            side.speaking = side.service.start_speech()
        else:
            side.service.end_speech(side.speaking)
            side.untranscribed.append(side.speaking)
            side.speaking = None
        self._send(name)

    @rule(name=_SESSIONS, words=st.lists(_WORDS, max_size=3), fails=st.booleans())
    def transcribe(self, name: str, words: list[str], fails: bool) -> None:
        """The transcription of an earlier utterance arrives."""
        side = self.sides[name]
        if side.untranscribed:
            side.service.transcribe(side.untranscribed.pop(), words, fails=fails)
        self._send(name)

    # --- The model ----------------------------------------------------------------

    @rule(name=_SESSIONS, spoken=st.booleans(), aside=st.booleans())
    def begin(self, name: str, spoken: bool, aside: bool) -> None:
        """The assistant begins to answer, in the conversation or out of band."""
        service = self.sides[name].service
        metadata = {"topic": "aside"} if aside else None
        if aside:
            params = {"conversation": "none", "metadata": metadata}
            service.note("response.create", response=params)
        response = service.begin(in_band=not aside, metadata=metadata)
        said = service.say(response, (), spoken=spoken, in_band=not aside)
        self.sides[name].said.append(said)
        self._send(name)

    @rule(name=_SESSIONS, which=st.integers(0, 3), words=_WORDS)
    def utter(self, name: str, which: int, words: str) -> None:
        """A delta of one of the answers in progress."""
        side = self.sides[name]
        if side.said:
            side.service.utter(side.said[which % len(side.said)], words)
        self._send(name)

    @rule(name=_SESSIONS, which=st.integers(0, 3), cut=st.booleans())
    def finish(self, name: str, which: int, cut: bool) -> None:
        """One of the answers ends, or is interrupted."""
        side = self.sides[name]
        if side.said:
            said = side.said.pop(which % len(side.said))
            item = side.service.finish(said, "incomplete" if cut else "completed")
            status = "cancelled" if cut else "completed"
            side.service.end(
                said["response_id"], [item], status, in_band=said["in_band"]
            )
        self._send(name)

    @rule(name=_SESSIONS, arguments=st.lists(_WORDS, max_size=3))
    def call(self, name: str, arguments: list[str]) -> None:
        """The model calls a function, and gets its output."""
        service = self.sides[name].service
        response = service.begin()
        item = service.call(response, "look", arguments)
        service.end(response, [item])
        service.answer(item["call_id"], "found")
        self._send(name)

    # --- Faults -------------------------------------------------------------------

    @rule(name=_SESSIONS, which=st.integers(0, 1_000))
    def repeat(self, name: str, which: int) -> None:
        """A repeated event changes nothing."""
        side = self.sides[name]
        recent = [f for f in side.sent[-300:] if "event_id" in f]
        if recent:
            self._feed(name, recent[which % len(recent)])

    @rule(name=_SESSIONS, frame=st.sampled_from([b"\xff", b"[]", b'{"type":"new"}']))
    def babble(self, name: str, frame: bytes) -> None:
        """An invalid or unknown frame changes nothing."""
        self._feed(name, frame)

    @rule(name=_SESSIONS, which=st.integers(0, 1_000))
    def delete(self, name: str, which: int) -> None:
        """An item is deleted for good."""
        side = self.sides[name]
        if side.model.order:
            item_id = side.model.order[which % len(side.model.order)]
            side.service.send("conversation.item.deleted", item_id=item_id)
        self._send(name)

    @rule(name=_SESSIONS)
    def reconnect(self, name: str) -> None:
        """The connection is lost; the next one is re-seeded with the conversation."""
        side = self.sides[name]
        lost: Frame = {"type": "duologue.disconnected", "expected": False}
        side.model.take(self._feed(name, lost))
        side.epoch += 1
        side.sent, side.said, side.untranscribed, side.speaking = [], [], [], None
        side.service.note("duologue.connecting")
        side.service.created()
        side.service.last = None
        for item_id in side.model.order:
            item = side.model.items[item_id]
            if item["role"] == "user" and item["status"] == "completed":
                text = "".join(item["texts"].values())
                part = {"type": "input_text", "text": text}
                side.service.put(message(item_id, "user", [part]))
        self._send(name)

    # --- The store ----------------------------------------------------------------

    @rule()
    def dump_and_load(self) -> None:
        """A new store continues from a snapshot."""
        self.store = self._open(load(dump(self.store.state)))

    @precondition(lambda self: any(side.count for side in self.sides.values()))
    @rule(name=_SESSIONS)
    def forget(self, name: str) -> None:
        """A session is removed; the other one stays."""
        self._feed(name, {"type": "duologue.forgotten"})
        self.sides[name] = _Side(name)

    @rule(stream=hostile(records(turns=1), faults=4))
    def disturb(self, stream: Stream) -> None:
        """Another session receives a hostile stream, and is forgotten."""
        for record in stream:
            self.store.dispatch(record)
        self.store.dispatch(
            Record.of(
                b'{"type":"duologue.forgotten"}', seq=0, session="s1", dir="local"
            )
        )
        self.told.clear()

    @invariant()
    def agrees(self) -> None:
        """The store agrees with the model."""
        for name, side in self.sides.items():
            session = self.store.session(name)
            if session is None:
                assert side.count == 0, "a session exists after its first record"
            else:
                assert side.count == session.dedup.events, "every record counts"
                side.model.check(session)

    def teardown(self) -> None:
        """The final state can be dumped as JSON."""
        parsed: Any = msgspec.json.decode(dump(self.store.state))
        assert isinstance(parsed, dict)


def _check_store(store: Any, state: State) -> None:
    """`make_store` must return a store with the given state."""
    if not isinstance(store, Store):
        hint = ": is a return missing?" if store is None else ""
        raise AssertionError(f"make_store returned {shown(store)}, not a Store{hint}")
    assert dump(store.state) == dump(state), (
        "make_store returned a store with another state than its argument: pass the "
        "argument on, as in Store(state)"
    )


def _check_told(record: Any, told: list[Record]) -> None:
    """The subscribers must be called once, with the record that `feed` returned."""
    if not isinstance(record, Record):
        raise AssertionError(f"feed returned {shown(record)}, not the new Record")
    what = f"{record.event.type} (session {record.session!r}, record {record.seq})"
    if len(told) > 1:
        raise AssertionError(
            f"the store called its subscribers {len(told)} times for one record: "
            f"{what}. Its feed, or a middleware, passes it on more than once"
        )
    assert told, (
        f"the store did not call its subscribers for {what}. It, or a middleware, "
        "drops the record; StoreMachine needs every record"
    )
    assert told == [record], (
        f"the store called its subscribers with another record than feed returned: "
        f"{what}. It, or a middleware, changes the record; StoreMachine needs it as "
        "it was fed"
    )
