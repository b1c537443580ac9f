"""What a file of a reply holds."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from duologue.transports import BufferSink, TrimmedSink

SILENCE = array("h", [0, 3, -5] * 160).tobytes()
SOUND = array("h", [9_000, -9_000] * 240).tobytes()


@given(st.lists(st.booleans()))
def test_all_from_the_first_sound_to_the_last(frames: list[bool]) -> None:
    """Silence at either end is left out, pauses in between are kept."""
    kept = BufferSink()
    sink = TrimmedSink(kept)
    for loud in frames:
        sink.write(SOUND if loud else SILENCE)
    loud_at = [index for index, loud in enumerate(frames) if loud]
    inner = frames[loud_at[0] : loud_at[-1] + 1] if loud_at else []
    assert bytes(kept.pcm) == b"".join(SOUND if loud else SILENCE for loud in inner)
