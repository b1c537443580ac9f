"""A store understands services with other habits, or the check names what it lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duologue.core import Record, State, Store
from duologue.core.testing import Fault, check_services, service_check
from duologue.core.testing.mutations import without
from duologue.core.testing.stream import Stream


def store_without(is_dropped: Callable[[Record], bool]) -> Callable[[], Store]:
    """Stores with a middleware that drops some records."""

    def drop(store: Any, dispatch: Any) -> Any:
        def wrapped(record: Record) -> State:
            state: State = store.state
            return state if is_dropped(record) else dispatch(record)

        return wrapped

    return lambda: Store(middleware=(drop,))


def has(text: str) -> Callable[[Record], bool]:
    return lambda record: text.encode() in record.frame and record.dir == "in"


def uncounted(store: Any, dispatch: Any) -> Any:
    """A middleware that removes the usage of responses."""

    def wrapped(record: Record) -> State:
        [plain] = without(Stream([record]), ["usage"])
        state: State = dispatch(plain)
        return state

    return wrapped


def test_the_store_understands_every_habit() -> None:
    """The reducer holds the rules for every habit, alone and with others."""
    check_services(examples=100)


@pytest.mark.parametrize(
    ("make_store", "habits", "what"),
    [
        (store_without(has("")), (), "the lines of the transcript are wrong"),
        (store_without(has("_transcription.")), (), "the lines of the transcript are"),
        (store_without(has('"function_call"')), (), "the calls of functions are wrong"),
        (
            store_without(has('"function_call_output"')),
            (),
            "outputs of functions were not answered",
        ),
        (store_without(has("http_error")), (), "the errors of MCP calls are wrong"),
        (lambda: Store(middleware=(uncounted,)), (), "the tokens are wrong"),
        (
            store_without(lambda record: b".tick" in record.frame),
            ("requests_ignored",),
            "the session is not settled",
        ),
    ],
)
def test_a_loss_is_found(make_store: Any, habits: tuple[str, ...], what: str) -> None:
    """The reason names what is wrong, and the habits; the stream is short."""
    with pytest.raises(Fault, match=f"^{what}") as found:
        check_services(make_store, habits=habits or ("no_updated",), examples=30)

    assert len(found.value.stream) < 100
    assert "expected: " in found.value.what


def test_only_a_long_session_fails() -> None:
    """If no drawn session fails, the stream is that of the long session."""
    make_store = store_without(lambda record: record.seq > 400)
    with pytest.raises(Fault) as found:
        check_services(make_store, habits=["no_updated"], turns=1, examples=5)

    assert len(found.value.stream) > 400


def test_only_a_drawn_session_fails() -> None:
    """The drawn sessions have events that the long one does not have."""
    with pytest.raises(Fault, match=r"^the lines of the transcript are wrong"):
        check_services(store_without(has("item.deleted")), habits=["no_updated"])


def test_a_call_must_be_in_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that `react` returns for an unknown call is a fault."""
    monkeypatch.setattr(service_check, "select_call", lambda session, call_id: None)

    with pytest.raises(Fault, match=r"^the calls of functions are wrong"):
        check_services(habits=["no_updated"], examples=5)


def test_an_unknown_habit_is_an_error() -> None:
    """An unknown name raises ValueError."""
    with pytest.raises(ValueError, match="no such habit: lazy"):
        check_services(habits=["lazy"])
