"""Make the spoken questions of this folder again, with libflite.

    python examples/make_wavs.py

The files are PCM16 mono at 24 kHz: half a second of silence, the question, and
three quarters of a second of silence. They are in the repository, so this is needed
only to change them. The voice is one that the recogniser reads without a mistake.
"""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

from duologue.local.interfaces import SAMPLE_RATE
from duologue.local.speech.tts_flite import FliteSynthesiser

#: File name to question. The scripted mind answers the first, and counts for long
#: at the second, so that it can be interrupted.
QUESTIONS = {
    "question.wav": "Can you hear me?",
    "count.wav": "Tell me the numbers from one to twenty.",
}
VOICE = "rms"
BEFORE, AFTER = 0.5, 0.75


async def spoken(text: str) -> bytes:
    """The text as PCM16 at 24 kHz, with silence around it."""
    voice = FliteSynthesiser()
    speech = b"".join([pcm async for pcm in voice.speak(text, voice=VOICE)])
    return silence(BEFORE) + speech + silence(AFTER)


def silence(seconds: float) -> bytes:
    """That much of nothing."""
    return bytes(2 * int(seconds * SAMPLE_RATE))


def write(path: Path, pcm: bytes) -> None:
    """Write PCM16 mono at 24 kHz as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm)


async def main() -> None:
    """Write all files beside this one."""
    for name, text in QUESTIONS.items():
        path = Path(__file__).with_name(name)
        write(path, await spoken(text))
        print(f"{path.name}: {text}")


if __name__ == "__main__":
    asyncio.run(main())
