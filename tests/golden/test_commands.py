"""The command line keeps its options and its output."""

from __future__ import annotations

import pytest

from . import commands, streams
from .store import first_difference, read


def test_the_structure_stays() -> None:
    """Commands and options with their types, defaults, variables and limits."""
    assert first_difference(read("cli-structure.json"), commands.structure()) is None


def test_the_help_is_what_it_was() -> None:
    """The help at a fixed width. If the text changes, read it and renew it:

    ``python -m tests.golden.make help``
    """
    assert first_difference(read("cli-help.json"), commands.help_texts()) is None


@pytest.mark.parametrize("name", streams.REPRESENTATIVE)
def test_replay_and_export_print_the_same_object(name: str) -> None:
    """For a log with fixed times, to the last value."""
    golden = read("json-output.json.xz")[name]
    assert first_difference(golden, commands.of_log(streams.log_of(name))) is None


def test_the_other_objects_have_the_same_shape() -> None:
    """``--json`` of `say`, `talk`, `token`, `doctor`, `local` and `web`.

    `devices` is left out: it needs PortAudio and depends on the machine.
    """
    assert first_difference(read("json-shapes.json"), commands.shapes()) is None
