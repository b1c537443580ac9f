"""The machine passes a store that works, and fails one that does not."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from duologue.core import Record, State, Store, encode, events, reduce
from duologue.core.store import Dispatch
from duologue.core.testing import Model, Service, StoreMachine, to_records

from ..strategies import examples
from ..talk import message

FEW = settings(max_examples=50, database=None, phases=[Phase.generate])
TestStore = StoreMachine.TestCase
TestStore.settings = settings(examples(500), stateful_step_count=20)


def forgetful(store: Store, dispatch: Dispatch) -> Dispatch:
    """Loses the words of the user."""

    def lossy(record: Record) -> State:
        return store.state if "transcription" in record.event.type else dispatch(record)

    return lossy


def deaf(store: Store, dispatch: Dispatch) -> Dispatch:
    """Keeps deletions from the state, and tells of them."""

    def lossy(record: Record) -> State:
        if record.event.type == "conversation.item.deleted":
            return store.state
        return dispatch(record)

    return lossy


@pytest.mark.parametrize("middleware", [forgetful, deaf])
def test_a_store_that_loses_something_is_found(middleware: object) -> None:
    """Whatever it is that goes missing."""

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            return Store(state, middleware=(middleware,))  # type: ignore[arg-type]

    Machine.__test__ = False
    with pytest.raises(
        AssertionError, match=r"did not tell its subscribers of .* needs them all"
    ):
        run_state_machine_as_test(Machine, settings=FEW)


class Twice(Store):
    def feed(self, *args: Any, **how: Any) -> Record:
        super().feed(*args, **how)
        return super().feed(*args, **how)


class Mute(Store):
    def feed(self, *args: Any, **how: Any) -> Any:
        super().feed(*args, **how)


class Other(Store):
    def feed(self, *args: Any, **how: Any) -> Record:
        return msgspec.structs.replace(super().feed(*args, **how), seq=99)


class Held(Store):
    def dispatch(self, record: Record) -> State:
        return self.state


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda state: None, r"make_store gave None, not a Store: is a return missing"),
        (lambda state: 4, r"make_store gave 4, not a Store$"),
        (lambda state: Store(), r"make_store gave a store that does not begin from"),
        (Twice, r"told its subscribers of 2 records for one: .* more than once"),
        (Mute, r"feed gave None, not the Record that it made"),
        (Other, r"of another record than feed gave: .* changes the record"),
        (
            Held,
            r"did not tell its subscribers of .*\(session '[ab]', record 1\)\. It, or",
        ),
    ],
)
def test_a_store_of_another_kind_is_told_what_it_does(make: Any, what: str) -> None:
    """Of one's own store the cause is named, whatever it is."""

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            store: Store = make(state)
            return store

    Machine.__test__ = False
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(Machine, settings=FEW)
    assert re.search(what, str(found.value))


def loud(store: Store, dispatch: Dispatch) -> Dispatch:
    """Changes the words, in the event and in the frame."""

    def go(record: Record) -> State:
        if isinstance(record.event, events.ResponseOutputTextDelta):
            event = msgspec.structs.replace(record.event, delta="LOUD ")
            frame = encode(event)
            record = msgspec.structs.replace(record, event=event, frame=frame)
        return dispatch(record)

    return go


def test_what_a_middleware_makes_of_a_record_is_not_judged() -> None:
    """The model takes each record as it reaches the store."""

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            return Store(state, middleware=(loud,))

    Machine.__test__ = False
    run_state_machine_as_test(Machine, settings=FEW)


def test_the_model_takes_what_it_does_not_know() -> None:
    """Events that say nothing of items leave it alone."""
    service, model = Service(), Model()
    service.created()
    for record in to_records(service.frames):
        model.take(record)

    assert (model.items, model.order, model.responses) == ({}, [], {})


def test_the_model_agrees_with_the_reducer() -> None:
    """On tools, on what comes of items that were deleted, on a connection that is
    lost in the middle of an answer; after every record."""
    service, model, state = Service(), Model(), State()
    service.note("duologue.connecting")
    service.created()
    service.list_tools("shop")
    service.list_tools("other", fails=True)
    response = service.begin()
    call = service.call(response, "look", ("{", "}"))
    service.end(response, [call, service.mcp_call(response, "shop", index=1)])
    service.transcribe(service.start_speech(), ("mumbled",), fails=True)
    user = service.start_speech()
    said = service.say(service.begin(), ("good",), spoken=False)
    for item_id in (user, said["item_id"]):
        service.send("conversation.item.deleted", item_id=item_id)
    service.put(message(user, "user", []))
    service.transcribe(user, ("what",))
    service.utter(said, " day")
    service.end(said["response_id"], [service.finish(said)])
    service.say(service.begin(), ("and",))
    service.note("duologue.disconnected", expected=False)
    for record in to_records(service.frames):
        state = reduce(state, record)
        model.take(record)
        model.check(state.sessions["s"])

    assert [*model.responses.values()] == ["completed", "completed", "incomplete"]
