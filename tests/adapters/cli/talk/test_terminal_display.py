"""The screen of ``duologue talk``, also on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from duologue.adapters.cli.talk.screen_layout import ScreenState
from duologue.adapters.cli.talk.terminal_display import TerminalDisplay

from ...conftest import environment, heed_interrupts

pytest.importorskip("termios")

#: Runs a command on a pseudo-terminal that is connected to our pipes.
ON_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""
#: Prints the exit status and the settings of the terminal afterwards.
AND_THEN = 'trap : INT; "$@"; echo "status $?"; stty -a'
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """The user's side of the terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.output = ""

    @property
    def seen(self) -> str:
        """All output without escape sequences."""
        return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", self.output)

    def type(self, keys: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(keys.encode())

    async def until(self, text: str) -> None:
        """Read until this text appears."""
        async with asyncio.timeout(30):
            while text not in self.seen:
                await self._read()

    async def ended(self) -> None:
        async with asyncio.timeout(30):
            while await self._read():
                pass

    async def _read(self) -> bool:
        assert self._process.stdout is not None
        data = await self._process.stdout.read(65536)
        self.output += data.decode(errors="replace")
        return bool(data)


Open = Callable[..., Awaitable[Terminal]]


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Open]:
    """``await terminal("talk", …)``: the command on a terminal with 100 by 24 cells."""
    processes: list[asyncio.subprocess.Process] = []

    async def open(*args: str, **changes: str) -> Terminal:
        size = {"COLUMNS": "100", "LINES": "24", "TERM": "xterm-256color"}
        command = (sys.executable, "-m", "duologue", *args)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ON_TERMINAL, "sh", "-c", AND_THEN, "sh", *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(**{**size, **changes}),
            cwd=tmp_path,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return Terminal(process)

    yield open
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


TALK = ("talk", "--text", "--local", "--transport", "websocket")


async def test_a_talk_of_two_on_a_terminal(terminal: Open, tmp_path: Path) -> None:
    """Panels, edited lines and printing tools; then the summary."""
    (tmp_path / "mine.py").write_text(
        "def weather() -> str:\n"
        "    'The weather.'\n"
        "    print('looked it up')\n"
        "    return 'mild'\n"
    )
    talk = await terminal(*TALK, "--sessions", "2", "--tools", "mine:weather")
    await talk.until("to 1> ")
    talk.type("what is the weathr\x7fer\r")
    await talk.until("The answer is: mild.")
    talk.type("/2\r")
    await talk.until("to 2> ")
    talk.type("hello\r")
    await talk.until("Hello there. It is good to hear you.")
    talk.type("\x04")
    await talk.ended()

    screen, _, after = talk.output.partition(LEAVE_SCREEN)
    assert ENTER_SCREEN in screen
    assert LEAVE_SCREEN not in after
    for text in (
        *("1 of 2  open", "2 of 2  open", "you: what is the weather"),
        *("→ weather({})  done: mild", "looked it up", "tokens"),
    ):
        assert text in talk.seen, text
    after = re.sub(r"\x1b\[[0-9;]*m", "", after)
    assert "looked it up" in after
    assert re.search(r"session \w+-001 \(closed\)\s+you: what is the weather\s", after)
    assert re.search(r"session \w+-002 \(closed\)\s+you: hello\s", after)
    assert "Traceback" not in after
    assert "status 0" in after
    # The settings of the terminal are restored: it echoes and edits lines.
    assert {"echo", "icanon"} <= set(after.split())


async def test_ctrl_c_in_the_middle_of_a_reply(terminal: Open, tmp_path: Path) -> None:
    """The screen is closed, the log is complete, unheard text is struck through."""
    talk = await terminal(*TALK, "--record", "log.jsonl")
    await talk.until("> ")
    talk.type("count to forty please\r")
    await talk.until("twelve")
    talk.type("half a line\x03")
    await talk.ended()

    _, _, after = talk.output.partition(LEAVE_SCREEN)
    assert "Traceback" not in talk.output
    assert "interrupted after" in after
    assert "\x1b[9m" in after
    assert "status 130" in after
    assert {"echo", "icanon"} <= set(after.split())
    *_, last = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(last)["event"]["type"] == "duologue.closed"


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {}])
async def test_without_a_screen_lines_are_printed(
    terminal: Open, changes: dict[str, str]
) -> None:
    """With a dumb terminal, and with ``--json``."""
    more = () if changes else ("--json",)
    talk = await terminal(*TALK, *more, **changes)
    talk.type("hello\r\x04")
    await talk.ended()

    assert ENTER_SCREEN not in talk.output
    assert "Hello there. It is good to hear you." in talk.output
    assert "status 0" in talk.output


def test_printed_lines_are_passed_to_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The output of a tool neither spoils the screen nor gets lost."""
    printed: list[str] = []
    with TerminalDisplay(lambda: ScreenState(panels=()), printed.append):
        print("one\ntwo", end="")
        print(" three\nfour", end="", file=sys.stderr)
    print("five")

    assert printed == ["one", "two three", "four"]
    assert capsys.readouterr() == ("five\n", "")


def test_an_error_while_drawing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> ScreenState:
        raise RuntimeError("no state")

    with TerminalDisplay(broken, print):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "the screen cannot be drawn"
    ]
