"""The examples of the README print their comments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


@pytest.mark.realtime
@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_prints_what_it_says(code: str, tmp_path: Path) -> None:
    """Each block runs on its own and prints the comments at its end."""
    said = [line[2:] for line in code.splitlines() if line.startswith("# ")]
    roots = ("core", "transports", "local", "adapters")
    path = os.pathsep.join(str(ROOT / root) for root in roots)
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout.splitlines(), run.stderr) == (said, "")
    assert said
