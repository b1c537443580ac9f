"""Selectors are memoised by the identity of their input nodes."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import weakref
from typing import Any

import pytest
from immutables import Map
from msgspec.structs import replace

import duologue.core
from duologue.core import (
    Session,
    fold,
    select_final_transcripts,
    select_items,
    select_responses,
    select_transcripts,
    select_translation,
    select_turns,
    selectors,
)
from duologue.core.events.types import SessionStatus
from duologue.core.state.model import Connection, Conversation

from ..talk import fold_frames, talked, to_records


@pytest.mark.parametrize(
    ("select", "other"),
    [
        (select_transcripts, "problems"),
        (select_final_transcripts, "problems"),
        (select_items, "responses"),
        (select_turns, "items"),
        (select_responses, "items"),
    ],
)
def test_remembered_by_identity(select: Any, other: str) -> None:
    """The result is the same object until an input node changes."""
    session = fold_frames(*talked().frames)
    first = select(session)
    grown = replace(
        session, connection=Connection(SessionStatus.OPEN), dedup=Session("").dedup
    )
    if other == "items":
        grown = replace(grown, items=Map())

    assert first is select(session)
    assert first is select(grown)
    assert select(Session(session.id)) is not first


def test_the_last_64_sessions_are_remembered() -> None:
    """A 65th session evicts the first."""
    frames = talked().frames
    asked = [
        fold(to_records(frames, session=str(n))).sessions[str(n)] for n in range(65)
    ]
    first = [select_transcripts(session) for session in asked]

    assert [select_transcripts(it) for it in asked[1:]] == first[1:]
    assert all(
        select_transcripts(session) is lines
        for session, lines in zip(asked[1:], first[1:], strict=True)
    )
    again = select_transcripts(asked[0])
    assert again == first[0]
    assert again is not first[0]


class Talk(str):
    """A string that supports weak references."""

    __slots__ = ("__weakref__",)


def test_sessions_that_are_gone_are_let_go() -> None:
    """The memo keeps the last 64 sessions alive, and no others."""
    gone: list[weakref.ref[Talk]] = []
    for n in range(200):
        words = Talk("words")
        gone.append(weakref.ref(words))
        select_translation(
            Session(str(n), conversation=Conversation(id=words, translation=None))
        )
        del words
    gc.collect()

    assert [n for n, it in enumerate(gone) if it() is not None] == [*range(136, 200)]


def test_every_selector_is_public() -> None:
    """The package exports every `select_` function of its modules."""
    defined = {
        name
        for found in pkgutil.iter_modules(selectors.__path__)
        for name in vars(importlib.import_module(f"{selectors.__name__}.{found.name}"))
        if name.startswith("select_")
    }

    assert defined == {name for name in selectors.__all__ if name.startswith("select_")}
    assert defined <= set(duologue.core.__all__)
