"""Clocks and ids of live sessions."""

from __future__ import annotations

import re
import time

import pytest

from duologue.transports.clock import SystemClock, new_id


def test_a_wall_clock_that_is_set_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wall clock is read once; after that the time is monotonic."""
    clock = SystemClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= clock.now() < before + 60


def test_ids_are_safe_in_paths_and_urls() -> None:
    """Ids have 26 characters of a-z and 0-9 and are unique."""
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[a-z0-9]{26}", one) for one in ids)
