"""Arguments of the wrong type raise clear errors in every public function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import duologue.core
from duologue.core import (
    Record,
    Session,
    State,
    Store,
    apply,
    decode,
    dump,
    fold,
    load,
    patch,
    read_log,
    select_latest,
    select_turn,
    summary,
    to_line,
    view,
)

SELECTORS = [name for name in duologue.core.__all__ if name.startswith("select_")]
#: Further arguments of selectors.
MORE: dict[str, tuple[Any, ...]] = {
    "select_call": ("c",),
    "select_latest": (3,),
    "select_metadata": ("i",),
    "select_reply": ("i",),
    "select_transcripts_by_role": ("user",),
    "select_turn": ("i",),
}


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize(
    ("given", "what", "hint"),
    [
        (None, "None", "`Store.session` returns None for an unknown id"),
        (State(), "State", "the sessions of a state are in its `sessions`, by id"),
        (Store(), "Store", "the sessions of a state are in its `sessions`, by id"),
    ],
)
def test_a_selector_requires_a_session(
    name: str, given: object, what: str, hint: str
) -> None:
    """None, from `Store.session` with a wrong id, is the most likely mistake."""
    select = getattr(duologue.core, name)
    with pytest.raises(TypeError) as refused:
        select(given, *MORE.get(name, ()))
    wanted = f"{name}: the session must be Session, not {what}; {hint}"
    assert str(refused.value) == wanted
    # Control: a session is accepted.
    select(Session("s"), *MORE.get(name, ()))


S = Session("s")
#: Arguments that a type checker would reject.
NOTHING: Any = None
NUMBER: Any = 3
WORD: Any = "3"
RECORD = Record.of(b"{}", seq=1, session="s", dir="in")


def drain(lines: Any) -> None:
    """Read a log to its end."""
    list(read_log(lines))


@pytest.mark.parametrize(
    ("call", "given", "message"),
    [
        (view, (None,), "view: the session must be Session, not None"),
        (summary, ({},), "summary: the session must be Session, not dict"),
        (patch, (S, None), "patch: the session must be Session, not None"),
        (patch, ({}, S), "patch: the session must be Session, not dict"),
        (fold, ([b"{}"],), "fold: each of the records must be Record, not bytes"),
        (fold, ("a path",), "fold: each of the records must be Record, not str"),
        (fold, ([], {}), "fold: the state must be State, not dict"),
        (dump, (S,), "dump: the state must be State, not Session"),
        (load, ("{}",), "load: the snapshot must be bytes, not str"),
        (load, (None,), "load: the snapshot must be bytes, not None"),
        (decode, ({},), "decode: the frame must be bytes or str, not dict"),
        (to_line, ({},), "to_line: the record must be Record, not dict"),
        (apply, ({}, None), "apply: the patch must be Iterable, not None"),
        (apply, ({}, "x"), "apply: each operation must be Mapping, not str"),
        (read_log, (Path("x"),), "read_log takes the lines of a log"),
        (read_log, ("x",), "read_log takes the lines of a log"),
        (read_log, (None,), "read_log: the lines must be Iterable, not None"),
        (
            partial(read_log, session=NUMBER),
            ([],),
            "read_log: the session must be str, not int",
        ),
        (drain, ([b"", {}],), "read_log: line 2 must be bytes or str, not dict"),
        (
            partial(Record.of, seq=1, session="s", dir="in"),
            ({},),
            "Record.of: the frame must be bytes or str, not dict",
        ),
        (select_latest, (S, "3"), "select_latest: the count must be int, not str"),
        (Store, ({},), "Store: the state must be State, not dict"),
        (
            partial(Store, middleware=(NOTHING,)),
            (),
            "Store: each middleware must be a function, not None",
        ),
        (Store().dispatch, ({},), "dispatch: the record must be Record, not dict"),
        (
            Store().subscribe,
            (None,),
            "subscribe: the callback must be a function, not None",
        ),
        (
            partial(Store().subscribe, session=NUMBER),
            (print,),
            "subscribe: the id of a session must be str or NoneType, not int",
        ),
        (
            partial(Store().cursor, limit=WORD),
            (),
            "cursor: the limit must be int, not str",
        ),
    ],
)
def test_the_error_names_the_argument(
    call: Callable[..., Any], given: tuple[Any, ...], message: str
) -> None:
    """One line names the function, the argument, the expected and the given type."""
    with pytest.raises(TypeError) as refused:
        call(*given)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_coroutine_is_no_subscriber() -> None:
    """A coroutine function raises, because it would never be awaited."""

    async def later(*change: object) -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match="must not be a coroutine function"):
        Store().subscribe(later)  # type: ignore[arg-type]


def test_what_is_right_goes_through() -> None:
    """Control: the right types do not raise."""
    state = fold([RECORD])
    session = state.sessions["s"]
    assert load(dump(state)) == fold(read_log([to_line(RECORD)])) == state
    assert apply(view(session), patch(session, session)) == view(session)
    assert select_turn(session, "i") is None
