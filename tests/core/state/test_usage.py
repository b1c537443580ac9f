"""The usage of a new session."""

from __future__ import annotations

import pytest

from duologue.core.state.model import SessionUsage, TranscriptionUsage, Usage


def test_nothing_was_used() -> None:
    """Usage begins without tokens, seconds and limits."""
    none = TranscriptionUsage(0.0, 0, 0, 0, 0)
    assert SessionUsage() == SessionUsage(Usage(), none, ())
    assert Usage() == Usage(0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), True),
        (Usage(3, 2, 1, 3, 2, 1, 1, 1, 8), True),
        (Usage(3, total=4), False),
        (Usage(3, cached_text=4, total=3), False),
        (Usage(3, cached_audio=1, total=3), False),
        (Usage(3, cached_image=1, total=3), False),
    ],
)
def test_usage_that_adds_up(usage: Usage, expected: bool) -> None:
    """The parts add up to the total and contain the cached tokens."""
    assert usage.is_consistent is expected
