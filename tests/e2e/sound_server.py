"""A private sound server for a test: a microphone and speakers on any machine.

PulseAudio with null sinks, which its clock paces like a sound card. PortAudio connects
through ALSA's plugin, as on a desktop.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

#: Audio played here reaches the microphone.
MOUTH = "mouth"
MICROPHONE = "room"
SPEAKERS = "speakers"
PACKAGES = "libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"

#: ALSA uses PulseAudio, regardless of the configuration of the machine.
_ALSA = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
_RAW = ("--raw", "--rate=24000", "--channels=1", "--format=s16le")


def missing() -> str | None:
    """The missing part of this machine, or None."""
    for program in ("pulseaudio", "pactl", "pacat"):
        if shutil.which(program) is None:
            return program
    try:
        ctypes.CDLL("libportaudio.so.2")
    except OSError as error:
        return str(error)
    plugin = "alsa-lib/libasound_module_pcm_pulse.so"
    if not any(Path("/usr/lib").glob(f"*/{plugin}")):
        return plugin
    return None


class SoundServer:
    """A running PulseAudio. A program needs the environment ``env`` to use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: asyncio.subprocess.Process | None = None
        alsa = folder / "alsa.conf"
        alsa.write_text(_ALSA)
        self.env = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder / 'native'}",
            "PULSE_SOURCE": MICROPHONE,
            "PULSE_SINK": SPEAKERS,
            "ALSA_CONFIG_PATH": "/usr/share/alsa/alsa.conf:" + str(alsa),
        }

    def arguments(self) -> Iterator[str]:
        yield from ("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1")
        yield from ("--use-pid-file=no", "--disable-shm=yes", "--log-target=stderr")
        yield from ("--realtime=no", "--high-priority=no")
        for module in (
            f"module-native-protocol-unix socket={self.folder / 'native'} "
            "auth-anonymous=1",
            f"module-null-sink sink_name={SPEAKERS} rate=48000 channels=2",
            f"module-null-sink sink_name={MOUTH} rate=48000 channels=1",
            f"module-remap-source source_name={MICROPHONE} master={MOUTH}.monitor",
        ):
            yield from ("-L", module)

    async def start(self, *arguments: str, **pipes: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *arguments,
            stdin=pipes.get("stdin", asyncio.subprocess.DEVNULL),
            stdout=pipes.get("stdout", asyncio.subprocess.DEVNULL),
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self.env},
        )

    async def run(self) -> None:
        """Start the server and return when it responds."""
        self._process = await self.start(*self.arguments())
        async with asyncio.timeout(20):
            while await (await self.start("pactl", "info")).wait():
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Kill it, like an unplugged device."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def say(self, pcm: bytes) -> None:
        """Play PCM16 mono at 24 kHz into the microphone, in real time."""
        pacat = await self.start(
            *("pacat", "--playback", f"--device={MOUTH}", *_RAW),
            stdin=asyncio.subprocess.PIPE,
        )
        await pacat.communicate(pcm)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[bytearray]:
        """Record the audio of the speakers meanwhile."""
        heard = bytearray()
        parec = await self.start(
            *("pacat", "--record", f"--device={SPEAKERS}.monitor", *_RAW),
            *("--latency-msec=50",),
            stdout=asyncio.subprocess.PIPE,
        )

        async def listen() -> None:
            assert parec.stdout is not None
            while pcm := await parec.stdout.read(4_800):
                heard.extend(pcm)

        listener = asyncio.ensure_future(listen())
        try:
            yield heard
        finally:
            parec.terminate()
            await parec.wait()
            await listener

    async def echo(self) -> None:
        """From now on the microphone also records the speakers."""
        loop = "module-loopback source=speakers.monitor sink=mouth latency_msec=30"
        pactl = await self.start("pactl", "load-module", *loop.split())
        assert await pactl.wait() == 0


@asynccontextmanager
async def sound_server(folder: Path) -> AsyncIterator[SoundServer]:
    """PulseAudio on a private socket in ``folder``."""
    server = SoundServer(folder)
    try:
        await server.run()
        yield server
    finally:
        await server.kill()
