"""What ``doctor`` looks at on this machine. Nothing here goes to the network."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator
from typing import Literal

import attrs

from duologue.core import __version__
from duologue.core.errors import DuologueError

__all__ = ["Check", "fail", "machine_checks", "ok", "warn"]

Status = Literal["ok", "warn", "fail"]

_OLDEST = (3, 11)
#: The extras that people run, and the module that needs all of each.
_EXTRAS = {
    "webrtc": "duologue.transports.drivers.webrtc.webrtc_transport",
    "websocket": "duologue.transports.drivers.websocket.websocket_transport",
    "audio": "duologue.adapters.audio.resampler",
    "aec": "duologue.adapters.audio.processing",
    "local": "duologue.local.server.service",
    "web": "duologue.adapters.web",
}


@attrs.frozen
class Check:
    """One line: what was looked at, how it is, what was found, and what to do."""

    name: str
    status: Status
    found: str
    advice: str | None = None


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Check:
    """Something is missing that not everybody needs."""
    return Check(name, "warn", found, advice)


def fail(name: str, found: str, advice: str) -> Check:
    """Something does not work."""
    return Check(name, "fail", found, advice)


def machine_checks() -> Iterator[Check]:
    """Python, libraries, sound and voice of this machine."""
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


# -- libraries


def _extra(extra: str, module: str) -> Check:
    """Whether the libraries of an extra are there, and load."""
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
            f"installed, but does not load: {error}",
            f"install it anew: pip install --force-reinstall 'duologue[{extra}]'",
        )
    return ok(f"extra {extra}", ", ".join(found))


def _libraries(extra: str) -> list[str]:
    """The distributions that an extra asks for itself, without their versions."""
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
    """Whether sound comes through the codec of WebRTC."""
    try:
        from duologue.transports.drivers.webrtc.opus import OpusDecoder, OpusSender
    except (ImportError, OSError) as error:
        return _not_there("opus", error, "webrtc")
    try:
        packet = bytes(asyncio.run(OpusSender(None).next()))
        pcm = OpusDecoder().decode(packet)
    except Exception as error:
        # Whatever a build of FFmpeg may lack.
        return fail(
            "opus",
            f"cannot encode and decode: {type(error).__name__}: {error}",
            "install the wheel of PyAV: pip install --force-reinstall av",
        )
    return ok("opus", f"20 ms in {len(packet)} bytes, and {len(pcm)} bytes back")


def _not_there(name: str, error: Exception, extra: str) -> Check:
    """Something whose library does not load; our own errors say what to install."""
    install = f"pip install 'duologue[{extra}]'"
    advice = str(error) if isinstance(error, DuologueError) else install
    return warn(name, "not there", advice)


# -- sound


def _devices() -> Iterator[Check]:
    from duologue.adapters.audio import list_devices

    try:
        devices = list_devices()
    except DuologueError as error:
        yield warn("devices", "cannot be listed", str(error))
        return
    for direction, name in (("input", "microphone"), ("output", "speaker")):
        there = [d for d in devices if getattr(d, f"{direction}_channels")]
        usual = [d.name for d in there if getattr(d, f"default_{direction}")]
        if there:
            yield ok(name, f"{len(there)}, by default {(usual or ['none'])[0]}")
        else:
            advice = f"connect a {name} to use talk --mic; files and text need none"
            yield warn(name, "none on this machine", advice)
    yield _echo()


def _echo() -> Check:
    from duologue.adapters.audio import Processing

    try:
        Processing()
    except Exception as error:
        # Whatever a binary library may say of this machine.
        return warn("echo", f"not cancelled ({error})", "use headphones")
    return ok("echo", "cancelled by WebRTC's audio processing")


def _voice() -> Check:
    """The voice of the local service."""
    try:
        from duologue.local.components import find_synthesiser
        from duologue.local.interfaces import SynthesiserError
    except ImportError as error:
        return _not_there("voice", error, "local")
    try:
        return ok("voice", find_synthesiser().name)
    except SynthesiserError as error:
        return warn("voice", "none, so the local service is mute", str(error))
