"""Recordings of the live API, if available, give the golden results.

Only hashes are stored, because the text is not part of this project.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from . import recordings
from .observing import comparable
from .store import first_difference, read

PATHS = recordings.paths()

pytestmark = pytest.mark.skipif(not PATHS, reason="needs ../shared")


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_what_can_be_seen_of_a_recording_stays(path: Path) -> None:
    """Commands, patches, view, summary and selectors; after dump and load too."""
    golden = read(recordings.GOLDEN)
    if path.name not in golden:
        pytest.skip("a recording that came later")
    wanted, seen = golden[path.name], recordings.hashes(path)
    assert first_difference(comparable(wanted), comparable(seen)) is None
