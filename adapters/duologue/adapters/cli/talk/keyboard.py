"""Lines of standard input, from the keys of a terminal or from a file or pipe.

While `Keyboard` is active, the terminal does not echo and `LineEditor` edits the line.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

try:
    import termios
    import tty
except ImportError:  # pragma: no cover - Windows
    HAS_TERMINAL = False
else:
    HAS_TERMINAL = True

__all__ = ["HAS_TERMINAL", "Keyboard", "LineEditor", "read_lines"]

_ENTER = "\r\n"
_RUBOUT = "\x7f\b"
_END, _CLEAR, _WORD, _ESCAPE = "\x04", "\x15", "\x17", "\x1b"


class LineEditor:
    """A minimal line editor: Backspace, Ctrl-W, Ctrl-U, Enter and Ctrl-D.

    Keys without a character, such as arrows, are ignored.
    """

    def __init__(self) -> None:
        self.text = ""
        #: Whether Ctrl-D was typed on an empty line.
        self.ended = False
        self._sequence: str | None = None

    def feed(self, typed: str) -> list[str]:
        """Process typed characters and return the lines that they complete."""
        lines: list[str] = []
        for key in typed:
            if self._sequence is not None or key == _ESCAPE:
                self._skip(key)
            elif key in _ENTER:
                lines.append(self.text)
                self.text = ""
            else:
                self._edit(key)
        return lines

    def _edit(self, key: str) -> None:
        if key in _RUBOUT:
            self.text = self.text[:-1]
        elif key == _CLEAR:
            self.text = ""
        elif key == _WORD:
            self.text = self.text.rstrip().rpartition(" ")[0]
            self.text += " " if self.text else ""
        elif key == _END:
            self.ended = self.ended or not self.text
        elif key == "\t" or key.isprintable():
            self.text += key

    def _skip(self, key: str) -> None:
        """Skip an ECMA-48 sequence: escape, ``[`` or ``O``, to its last character."""
        if self._sequence is None or key == _ESCAPE:
            self._sequence = ""
        elif not self._sequence and key in "[O":
            self._sequence = key
        elif not self._sequence or "@" <= key <= "~":
            self._sequence = None


class Keyboard:
    """Reads a terminal key by key while the context is entered, then restores it.

    ``on_line`` is called with each line, ``on_end`` once after the last.
    """

    def __init__(
        self, fd: int, on_line: Callable[[str], None], on_end: Callable[[], None]
    ) -> None:
        self._fd = fd
        self._on_line = on_line
        self._on_end = on_end
        self._editor = LineEditor()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._before: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def typed(self) -> str:
        """The unfinished line."""
        return self._editor.text

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop_reading()
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except OSError:
            data = b""  # the terminal is closed
        for line in self._editor.feed(self._decode(data)):
            self._on_line(line)
        if not data or self._editor.ended:
            self._stop_reading()
            self._on_end()

    def _stop_reading(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._fd)


async def read_lines(fd: int) -> AsyncIterator[str]:
    """Yield the lines of a file, a pipe or a terminal; invalid UTF-8 is replaced.

    A daemon thread reads the descriptor. It does not use a buffered file, because
    Python would wait for its lock when the process exits.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            with contextlib.suppress(OSError):  # the terminal is closed
                while data := os.read(fd, 65536):
                    loop.call_soon_threadsafe(queue.put_nowait, data)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True, name="stdin").start()
    rest = b""
    while (data := await queue.get()) is not None:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
