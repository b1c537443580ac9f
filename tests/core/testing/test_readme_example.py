"""The three lines of the README, in a test of an application."""

from __future__ import annotations

from hypothesis import given

from duologue.core import Record, Session, fold, select_transcripts


def my_page(session: Session) -> str:
    """The text that the application shows for a session."""
    lines = select_transcripts(session)
    return "\n".join(f"{line.role}: {line.text}" for line in lines)


# --- The README from here -------------------------------------------------------------

from duologue.core.testing import hostile, records  # noqa: E402


@given(hostile(records()))
def test_my_page_survives_anything(stream: list[Record]) -> None:
    for session in fold(stream).sessions.values():
        my_page(session)
