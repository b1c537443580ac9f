"""What adds up over a session begins at nothing."""

from __future__ import annotations

from duologue.core.state.model import Ledger, TranscriptionUsage, Usage


def test_nothing_was_used() -> None:
    """A ledger begins without tokens, seconds, problems and limits."""
    assert Ledger() == Ledger(Usage(), (), (), TranscriptionUsage(0.0, 0, 0, 0, 0))
    assert Usage() == Usage(0, 0, 0, 0, 0, 0, 0, 0, 0)
