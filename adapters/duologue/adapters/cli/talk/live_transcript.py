"""Both sides' words as they come, as lines: for what is no terminal."""

from __future__ import annotations

from functools import partial

from rich.console import Console
from rich.text import Text

from duologue.core import Call, Transcript
from duologue.transports import LiveSession

from ..shared.session_report import clean, speaker

__all__ = ["LiveWords"]


class LiveWords:
    """Writes what is said to a console.

    Of one session the deltas, a new line whenever the speaker changes. Of several the
    whole lines, each with the number of its session: words between each other's words
    could not be read.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        #: Session and item.
        self._current: tuple[str, str] | None = None
        self._shown: set[tuple[str, str]] = set()

    def follow(self, session: LiveSession, number: int | None) -> None:
        """Write what this session says; ``number`` where it is one of several."""
        whole = number is not None
        start = f"{number} " if whole else ""
        session.on("transcript", partial(self._on_final, session, start))
        session.on("tool_call", partial(self._on_call, start))
        if not whole:
            session.on("transcript_delta", partial(self._on_delta, session))
            session.on("speech_started", lambda item_id: self._note("(you are heard)"))

    def _on_delta(self, session: LiveSession, line: Transcript, delta: str) -> None:
        key = (session.id, line.item_id)
        if self._current != key:
            self._begin(session, "", line)
            # After a change of speaker the line goes on where it was.
            delta = delta.lstrip() if key in self._shown else line.text
        self._shown.add(key)
        self._console.print(Text(clean(delta)), end="", soft_wrap=True)

    def _on_final(self, session: LiveSession, start: str, line: Transcript) -> None:
        key = (session.id, line.item_id)
        if key not in self._shown and line.text:
            self._begin(session, start, line)
            self._console.print(Text(clean(line.text)), end="", soft_wrap=True)
            self._shown.add(key)
        if key == self._current:
            self.end()

    def _on_call(self, start: str, call: Call) -> None:
        self._note(f"{start}({call.name} is called with {call.arguments})")

    def _begin(self, session: LiveSession, start: str, line: Transcript) -> None:
        self.end()
        self._current = (session.id, line.item_id)
        name = speaker(session.state, line)
        self._console.print(Text(f"{start}{name}: ", style="bold"), end="")

    def _note(self, note: str) -> None:
        self.end()
        self._console.print(Text(clean(note), style="dim"))

    def end(self) -> None:
        """End the line that is being written."""
        if self._current is not None:
            self._console.print()
            self._current = None
