"""Lines of standard input: typed where a screen is drawn, or read from anything else.

While `Keyboard` is in use the terminal neither echoes nor edits: `LineEditor` does.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
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
    """What is typed, as a line: rubbed out (also whole, or a word), ended by Enter.

    Keys without a character (arrows, and the like) do nothing.
    """

    def __init__(self) -> None:
        self.text = ""
        #: Ctrl-D on an empty line: there will be no more.
        self.ended = False
        self._sequence: str | None = None

    def feed(self, typed: str) -> list[str]:
        """Take what was typed; the lines that it ends."""
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
        """A sequence of ECMA-48: escape, ``[`` or ``O``, up to its last character."""
        if self._sequence is None or key == _ESCAPE:
            self._sequence = ""
        elif not self._sequence and key in "[O":
            self._sequence = key
        elif not self._sequence or "@" <= key <= "~":
            self._sequence = None


class Keyboard:
    """Reads a terminal key by key, until `__exit__` gives it back as it was.

    ``on_line`` gets each line, ``on_end`` is called once when there are no more.
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
        """The line that is being typed."""
        return self._editor.text

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_reading()
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except OSError:
            data = b""  # the terminal is gone
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
    """Lines of a file, a pipe or a terminal, to its end.

    What is not UTF-8 shows as such, whatever the locale. It is read in a thread that
    nobody has to wait for, and not through a buffered file: at the end of the process
    Python would wait for the lock of that.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            with contextlib.suppress(OSError):  # the terminal is gone
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
