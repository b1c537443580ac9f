"""The checks of this machine: Python, libraries, audio. They use no network."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator

from duologue.core import __version__
from duologue.core.errors import DuologueError

from .check_report import Check, fail, ok, warn

__all__ = ["machine_checks"]

_OLDEST = (3, 11)
#: The extras to check, each with a module that imports all of its libraries.
_EXTRAS = {
    "webrtc": "duologue.transports.drivers.webrtc.webrtc_transport",
    "websocket": "duologue.transports.drivers.websocket.websocket_transport",
    "audio": "duologue.adapters.audio.resampler",
    "aec": "duologue.adapters.audio.echo_cancellation",
    "local": "duologue.local.server.service",
    "web": "duologue.adapters.web",
}


def machine_checks() -> Iterator[Check]:
    """Check Python, the extras, the devices and the local voice."""
    yield _python()
    yield ok("duologue", __version__)
    for extra, module in _EXTRAS.items():
        yield _extra(extra, module)
    yield _opus()
    yield from _devices()
    yield _voice()


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST:
        return fail("python", found, "use Python 3.11 or later")
    return ok("python", found)


# Libraries.


def _extra(extra: str, module: str) -> Check:
    """Check that the libraries of an extra are installed and can be imported."""
    found, missing = [], []
    for name in _libraries(extra):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    install = f"pip install 'duologue[{extra}]'"
    if missing:
        return warn(f"extra {extra}", f"without {', '.join(missing)}", install)
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return fail(
            f"extra {extra}",
            f"installed, but cannot be imported: {error}",
            f"reinstall it: pip install --force-reinstall 'duologue[{extra}]'",
        )
    return ok(f"extra {extra}", ", ".join(found))


def _libraries(extra: str) -> list[str]:
    """The names of the distributions that the extra requires directly."""
    marker = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    try:
        requirements = importlib.metadata.requires("duologue") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    names = (
        re.split(r"[^\w.-]", line, maxsplit=1)[0]
        for line in requirements
        if marker.search(line)
    )
    return [name for name in names if name != "duologue"]


def _opus() -> Check:
    """Encode and decode 20 ms with Opus, the codec of WebRTC."""
    try:
        from duologue.transports.drivers.webrtc.opus import OpusDecoder, OpusSender
    except (ImportError, OSError) as error:
        return _missing("opus", error, "webrtc")
    try:
        packet = bytes(asyncio.run(OpusSender(None).next()))
        pcm = OpusDecoder().decode(packet)
    except Exception as error:
        # A build of FFmpeg can fail in many ways.
        return fail(
            "opus",
            f"cannot encode and decode: {type(error).__name__}: {error}",
            "install the wheel of PyAV: pip install --force-reinstall av",
        )
    return ok("opus", f"20 ms encoded to {len(packet)} bytes, decoded to {len(pcm)}")


def _missing(name: str, error: Exception, extra: str) -> Check:
    """A library that cannot be imported; a `DuologueError` names the extra itself."""
    install = f"pip install 'duologue[{extra}]'"
    advice = str(error) if isinstance(error, DuologueError) else install
    return warn(name, "not installed", advice)


# Audio.


def _devices() -> Iterator[Check]:
    from duologue.adapters.audio import list_devices
    from duologue.adapters.audio.devices import Direction

    try:
        devices = list_devices()
    except DuologueError as error:
        yield warn("devices", "cannot be listed", str(error))
        return
    directions: tuple[tuple[Direction, str], ...] = (
        ("input", "microphone"),
        ("output", "speaker"),
    )
    for direction, name in directions:
        able = [device for device in devices if device.channels(direction)]
        default = [device.name for device in able if device.is_default(direction)]
        if able:
            yield ok(name, f"{len(able)}, default: {(default or ['none'])[0]}")
        else:
            advice = f"connect a {name} to use talk --mic; files and text need none"
            yield warn(name, "none on this machine", advice)
    yield _echo()


def _echo() -> Check:
    from duologue.adapters.audio import Processing

    try:
        Processing()
    except Exception as error:
        # A binary library can fail in many ways.
        return warn("echo", f"cannot be cancelled ({error})", "use headphones")
    return ok("echo", "cancelled by WebRTC's audio processing")


def _voice() -> Check:
    """Check that the local service has a speech synthesiser."""
    try:
        from duologue.local.components import find_synthesiser
        from duologue.local.interfaces import SynthesiserError
    except ImportError as error:
        return _missing("voice", error, "local")
    try:
        return ok("voice", find_synthesiser().name)
    except SynthesiserError as error:
        return warn("voice", "none, so the local service cannot speak", str(error))
