"""Messages and warnings are held back while there is a screen."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from duologue.adapters.cli.talk.console_log import ConsoleLog


def test_messages_are_held_back_while_there_is_a_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Warnings too; later messages go to the console, warnings to standard error."""
    out = io.StringIO()
    log = ConsoleLog(Console(file=out), hold=True)
    with log:
        log.message("one\x1b[2J [b]note[/b]")
        logging.getLogger("duologue.test").warning("a\x9b2Jb %s", "c\nd")
        logging.getLogger("duologue.test").info("ignored")
        assert log.recent == ("one\x1b[2J [b]note[/b]", "a\x9b2Jb c\nd")
        assert (out.getvalue(), capsys.readouterr().err) == ("", "")
    logging.getLogger("duologue.test").warning("later")

    assert out.getvalue() == "one [b]note[/b]\n"
    assert capsys.readouterr().err == "ab c\nd\n"


def test_messages_are_printed_at_once_without_a_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = io.StringIO()
    with ConsoleLog(Console(file=out), hold=False) as log:
        log.message("one")
        assert (out.getvalue(), log.recent) == ("one\n", ())
        logging.getLogger("duologue.test").warning("two")
        assert capsys.readouterr().err == "two\n"
