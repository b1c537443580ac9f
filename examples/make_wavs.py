"""Synthesise the spoken questions in this folder with libflite.

    python examples/make_wavs.py

The files are PCM16 mono at 24 kHz: half a second of silence, the question, and three
quarters of a second of silence. They are in the repository; run this only to change
them. The built-in speech recognition makes no errors with this voice.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from duologue.local.interfaces import SAMPLE_RATE
from duologue.local.speech.tts_flite import FliteSynthesiser
from duologue.transports import WavSink

#: Questions by file name. The reply to the second is long, so you can interrupt it.
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
    """Silence as PCM16 at 24 kHz."""
    return bytes(2 * int(seconds * SAMPLE_RATE))


async def main() -> None:
    """Write the files into the folder of this script."""
    for name, text in QUESTIONS.items():
        path = Path(__file__).with_name(name)
        with WavSink(path) as file:
            file.write(await spoken(text))
        print(f"{path.name}: {text}")


if __name__ == "__main__":
    asyncio.run(main())
