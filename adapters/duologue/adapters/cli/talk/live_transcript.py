"""The transcript of live sessions, line by line, if there is no screen."""

from __future__ import annotations

from functools import partial

from duologue.core import Call, Transcript
from duologue.transports import LiveSession

from ..shared.transcript_printer import TranscriptPrinter

__all__ = ["LiveTranscript"]


class LiveTranscript(TranscriptPrinter):
    """Prints the transcripts of sessions.

    Deltas of one session are printed as they arrive. Of several sessions only complete
    lines are printed, each with the number of its session, so that they do not mix.
    """

    def follow(self, session: LiveSession, number: int | None) -> None:
        """Print this session; ``number`` is None for a single one."""
        prefix = "" if number is None else f"{number} "
        session.on("transcript", partial(self._on_final, session, prefix))
        session.on("tool_call", partial(self._on_call, prefix))
        if number is None:
            session.on("transcript_delta", partial(self._on_delta, session))
            session.on("speech_started", self._on_speech)

    def _on_delta(self, session: LiveSession, line: Transcript, delta: str) -> None:
        self.print_delta(session.state, line, delta)

    def _on_final(self, session: LiveSession, prefix: str, line: Transcript) -> None:
        self.print_final(session.state, line, prefix)

    def _on_call(self, prefix: str, call: Call) -> None:
        self.print_note(f"({call.name} is called with {call.arguments})", prefix)

    def _on_speech(self, item_id: str) -> None:
        self.print_note("(speech detected)")
