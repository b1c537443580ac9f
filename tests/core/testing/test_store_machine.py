"""`StoreMachine` accepts a correct store, and rejects a faulty one."""

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
#: For faults that need several steps in order; the run ends at the first failure.
MANY = settings(FEW, max_examples=500)
TestStore = StoreMachine.TestCase
TestStore.settings = settings(examples(500), stateful_step_count=20)


def forgetful(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that drops the transcriptions of the user."""

    def lossy(record: Record) -> State:
        return store.state if "transcription" in record.event.type else dispatch(record)

    return lossy


def deaf(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that drops deletions."""

    def lossy(record: Record) -> State:
        if record.event.type == "conversation.item.deleted":
            return store.state
        return dispatch(record)

    return lossy


@pytest.mark.parametrize("middleware", [forgetful, deaf])
def test_a_store_that_drops_records_is_found(middleware: object) -> None:
    """A store that drops records is found: subscribers need every record."""

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            return Store(state, middleware=(middleware,))  # type: ignore[arg-type]

    Machine.__test__ = False
    with pytest.raises(
        AssertionError, match=r"did not call its subscribers .* needs every record"
    ):
        run_state_machine_as_test(Machine, settings=MANY)


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


class Dropping(Store):
    def dispatch(self, record: Record) -> State:
        return self.state


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda state: None, r"make_store returned None, .*: is a return missing"),
        (lambda state: 4, r"make_store returned 4, not a Store$"),
        (lambda state: Store(), r"make_store returned a store with another state"),
        (Twice, r"called its subscribers 2 times for one .* more than once"),
        (Mute, r"feed returned None, not the new Record"),
        (Other, r"with another record than feed returned: .* changes the record"),
        (
            Dropping,
            r"did not call its subscribers for .*\(session '[ab]', record 1\)\. It, or",
        ),
    ],
)
def test_a_faulty_store_is_explained(make: Any, what: str) -> None:
    """The message names the cause."""

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            store: Store = make(state)
            return store

    Machine.__test__ = False
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(Machine, settings=FEW)
    assert re.search(what, str(found.value))


def loud(store: Store, dispatch: Dispatch) -> Dispatch:
    """A middleware that changes the text, in event and frame."""

    def go(record: Record) -> State:
        if isinstance(record.event, events.ResponseOutputTextDelta):
            event = msgspec.structs.replace(record.event, delta="LOUD ")
            frame = encode(event)
            record = msgspec.structs.replace(record, event=event, frame=frame)
        return dispatch(record)

    return go


def test_a_middleware_may_change_records() -> None:
    """The model applies each record as it reaches the store."""

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            return Store(state, middleware=(loud,))

    Machine.__test__ = False
    run_state_machine_as_test(Machine, settings=FEW)


def test_the_model_ignores_other_events() -> None:
    """Events without items do not change the model."""
    service, model = Service(), Model()
    service.created()
    for record in to_records(service.frames):
        model.take(record)

    assert (model.items, model.order, model.responses) == ({}, [], {})


def test_the_model_agrees_with_the_reducer() -> None:
    """Model and reducer agree on tools, deleted items and a lost connection."""
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
