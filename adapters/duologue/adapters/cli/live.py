"""Both sides' words as they come."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from duologue.core import Transcript
from duologue.transports import LiveSession

from .report import clean, speaker

__all__ = ["LiveWords"]


class LiveWords:
    """Writes deltas to a console, a new line whenever the speaker changes."""

    def __init__(self, console: Console, session: LiveSession) -> None:
        self._console = console
        self._session = session
        self._current: str | None = None
        self._shown: set[str] = set()
        session.on("transcript_delta", self._on_delta)
        session.on("transcript", self._on_final)
        session.on("speech_started", self._on_speech)

    def _on_speech(self, item_id: str) -> None:
        self._note("(you are heard)")

    def _on_delta(self, line: Transcript, delta: str) -> None:
        if self._current != line.item_id:
            self._begin(line)
            # After a change of speaker the line goes on where it was.
            delta = delta.lstrip() if line.item_id in self._shown else line.text
        self._shown.add(line.item_id)
        self._console.print(Text(clean(delta)), end="", soft_wrap=True)

    def _on_final(self, line: Transcript) -> None:
        if line.item_id not in self._shown and line.text:
            self._begin(line)
            self._console.print(Text(clean(line.text)), end="", soft_wrap=True)
            self._shown.add(line.item_id)
        if line.item_id == self._current:
            self.end()

    def _begin(self, line: Transcript) -> None:
        self.end()
        self._current = line.item_id
        name = speaker(self._session.state, line)
        self._console.print(Text(f"{name}: ", style="bold"), end="")

    def _note(self, note: str) -> None:
        self.end()
        self._console.print(Text(note, style="dim"))

    def end(self) -> None:
        """End the line that is being written."""
        if self._current is not None:
            self._console.print()
            self._current = None
