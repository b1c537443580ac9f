"""The usage of a new session."""

from __future__ import annotations

from duologue.core.state.model import SessionUsage, TranscriptionUsage, Usage


def test_nothing_was_used() -> None:
    """Usage begins without tokens, seconds and limits."""
    none = TranscriptionUsage(0.0, 0, 0, 0, 0)
    assert SessionUsage() == SessionUsage(Usage(), none, ())
    assert Usage() == Usage(0, 0, 0, 0, 0, 0, 0, 0, 0)
