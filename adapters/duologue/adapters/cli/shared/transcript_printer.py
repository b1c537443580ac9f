"""Printing of a transcript while it grows."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from duologue.core import Session, Transcript

from .control_characters import single_line
from .session_report import speaker

__all__ = ["TranscriptPrinter"]


class TranscriptPrinter:
    """Prints deltas as they arrive, and starts a new line when the speaker changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        #: Session and item of the unfinished line.
        self._current: tuple[str, str] | None = None
        self._shown: set[tuple[str, str]] = set()

    def print_delta(
        self, session: Session, line: Transcript, delta: str, prefix: str = ""
    ) -> None:
        """Print a delta of a line."""
        key = (session.id, line.item_id)
        if key != self._current:
            self._begin(session, line, prefix)
            # If the line was already begun, continue with its delta. Else print its
            # text, which is stripped, and the space at the end of the delta.
            trailing = delta[len(delta.rstrip()) :]
            delta = delta.lstrip() if key in self._shown else line.text + trailing
        self._shown.add(key)
        self._print(delta)

    def print_final(self, session: Session, line: Transcript, prefix: str = "") -> None:
        """Print a complete line, unless its deltas have been printed."""
        key = (session.id, line.item_id)
        if key not in self._shown and line.text:
            self._begin(session, line, prefix)
            self._print(line.text)
            self._shown.add(key)
        if key == self._current:
            self.end_line()

    def print_note(self, note: str, prefix: str = "") -> None:
        """Print a line that is not part of the transcript."""
        self.end_line()
        text = Text(prefix, style="dim").append(single_line(note))
        self._console.print(text, soft_wrap=True)

    def end_line(self) -> None:
        """End the unfinished line."""
        if self._current is not None:
            self._console.print()
            self._current = None

    def _begin(self, session: Session, line: Transcript, prefix: str) -> None:
        self.end_line()
        self._current = (session.id, line.item_id)
        text = Text(prefix, style="dim")
        text.append(f"{speaker(session, line)}: ", style="not dim bold")
        self._console.print(text, end="", soft_wrap=True)

    def _print(self, words: str) -> None:
        self._console.print(Text(single_line(words)), end="", soft_wrap=True)
