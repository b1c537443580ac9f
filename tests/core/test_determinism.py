"""The same records give the same bytes in processes with different hash seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given

from duologue.core import dump, fold, read_log, to_line
from duologue.core.testing.stream import Stream

from .strategies import EITHER, examples

ROOT = str(Path(__file__).parents[2] / "core")
SEEDS = ("0", "4242")

#: Reads a length and a log in a loop, and writes the dump of its state.
WORKER = """
import sys
from duologue.core import dump, fold, read_log
read, write = sys.stdin.buffer, sys.stdout.buffer
while size := int.from_bytes(read.read(4), "big"):
    data = dump(fold(read_log(read.read(size).splitlines(keepends=True))))
    write.write(len(data).to_bytes(4, "big") + data)
    write.flush()
"""


class Worker:
    """A process with its own hash seed."""

    def __init__(self, seed: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ROOT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def dump(self) -> bytes:
        """The bytes of the state to which the process folds the log."""
        answer = self._pipe(self._process.stdout)
        return answer.read(int.from_bytes(answer.read(4), "big"))

    def send(self, log: bytes) -> None:
        """Send a log, or nothing to end the process."""
        pipe = self._pipe(self._process.stdin)
        pipe.write(len(log).to_bytes(4, "big") + log)
        pipe.flush()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def stop(self) -> None:
        """End the process and check its exit code."""
        self.send(b"")
        assert self._process.wait(10) == 0
        self._pipe(self._process.stdin).close()
        self._pipe(self._process.stdout).close()


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    """One process for each hash seed."""
    found = [Worker(seed) for seed in SEEDS]
    yield found
    for worker in found:
        worker.stop()


@examples(500)
@given(stream=EITHER)
def test_bytes_are_equal_across_hash_seeds(
    workers: list[Worker], stream: Stream
) -> None:
    """The dump of a folded log is the same in every process."""
    log = b"".join(map(to_line, stream)) or b"\n"
    for worker in workers:
        worker.send(log)

    # As read: a log does not say that its first `session.updated` is a translation's.
    here = dump(fold(read_log(log.splitlines(keepends=True))))
    assert [here] * len(SEEDS) == [worker.dump() for worker in workers]
