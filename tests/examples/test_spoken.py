"""The spoken examples, run as in their pages, with the local service."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTION = EXAMPLES / "question.wav"

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("flite")]


def test_the_first_app_prints_both_sides_and_keeps_the_answer(tmp_path: Path) -> None:
    """The recognised text may vary; the reply must be audible."""
    answer = str(tmp_path / "answer.wav")
    command = [sys.executable, str(EXAMPLES / "first_app.py"), str(QUESTION), answer]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
    roles = [line.partition(": ")[0] for line in done.stdout.splitlines()]
    assert (roles, done.stderr) == (["user", "assistant"], "")
    with wave.open(answer) as file:
        assert loudest(file.readframes(file.getnframes())) > 1000


def test_sound_goes_through_pipes_of_ones_own() -> None:
    """Transcripts go to standard error, audio to standard output."""
    with wave.open(str(QUESTION)) as file:
        question = file.readframes(file.getnframes())
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_device.py"],
        input=question,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert loudest(done.stdout) > 1000


def loudest(pcm: bytes) -> int:
    """The largest sample of PCM16."""
    return max(memoryview(pcm).cast("h"), default=0)
