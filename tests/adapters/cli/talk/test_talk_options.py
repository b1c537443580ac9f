"""Several sessions write to numbered files."""

from __future__ import annotations

from pathlib import Path

from duologue.adapters.cli.talk.talk_options import numbered_path


def test_each_of_several_sessions_has_its_own_file() -> None:
    assert numbered_path(Path("a/reply.wav"), 2, 3) == Path("a/reply-2.wav")
    assert numbered_path(Path("a/log"), 1, 2) == Path("a/log-1")
    assert numbered_path(Path("a/reply.wav"), 1, 1) == Path("a/reply.wav")
