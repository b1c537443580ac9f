"""The machine passes a store that works, and fails one that does not."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from duologue.core import Record, State, Store, reduce
from duologue.core.store import Dispatch
from duologue.core.testing import (
    Model,
    Service,
    StoreMachine,
    to_records,
)

from ..strategies import examples
from ..talk import message

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
    few = settings(max_examples=200, database=None, phases=[Phase.generate])
    with pytest.raises((AssertionError, IndexError, ExceptionGroup)):
        run_state_machine_as_test(Machine, settings=few)


def test_a_middleware_that_drops_is_named_as_such() -> None:
    """The machine is for one that lets all through, and says so."""

    def dropping(store: Store, dispatch: Dispatch) -> Dispatch:
        return lambda record: store.state

    class Machine(StoreMachine):
        def make_store(self, state: State) -> Store:
            return Store(state, middleware=(dropping,))

    Machine.__test__ = False
    few = settings(max_examples=20, database=None, phases=[Phase.generate])
    with pytest.raises(
        AssertionError, match=r"your middleware dropped .* needs them all"
    ):
        run_state_machine_as_test(Machine, settings=few)


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
