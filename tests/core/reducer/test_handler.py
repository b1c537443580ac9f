"""Which records can change state."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core.reducer.handler import is_fact

from ..talk import to_record


@pytest.mark.parametrize(
    ("type", "dir"),
    [
        ("response.created", "in"),
        ("response.create", "out"),
        ("duologue.muted", "local"),
        ("response.dreamt", "in"),
    ],
)
def test_things_count_from_where_they_come_from(type: str, dir: Any) -> None:
    """The service's as received, ours as sent, local ones as local."""
    frame = {"type": type, "response": {}, "muted": True}

    assert [dir] == [
        way for way in ("in", "out", "local") if is_fact(to_record(frame, dir=way))
    ]
