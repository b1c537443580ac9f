"""Time and ids of live sessions."""

from __future__ import annotations

import re
import time

import pytest

from duologue.transports.clock import SystemClock, new_id


def test_a_wall_clock_that_is_set_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the first reading is of the wall; from there on time is monotonic."""
    clock = SystemClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= clock.now() < before + 60


def test_ids_are_safe_in_paths_and_urls() -> None:
    """26 characters of a-z and 0-9, never the same."""
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[a-z0-9]{26}", one) for one in ids)
