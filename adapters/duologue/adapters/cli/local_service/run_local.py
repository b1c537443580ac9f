"""``duologue local``: the offline service, until it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import attrs
import msgspec

from duologue.local import (
    Faults,
    LocalService,
    Parts,
    ServiceError,
    load_faults,
    load_scenario,
)
from duologue.local import Options as SessionOptions
from duologue.local.components import from_urls
from duologue.local.interfaces import SynthesiserError

__all__ = ["Elsewhere", "Options", "run"]


@attrs.frozen(kw_only=True)
class Elsewhere:
    """Base URLs and models of parts that are services of their own."""

    ear_url: str | None
    ear_model: str | None
    voice_url: str | None
    voice_model: str | None
    mind_url: str | None
    mind_model: str | None


@attrs.frozen(kw_only=True)
class Options:
    """What the command line asks for; None leaves it to the service."""

    host: str
    port: int
    key: str | None
    scenario: Path | None
    faults: Path | None
    elsewhere: Elsewhere
    allow_origins: tuple[str, ...]
    max_listening: int | None
    session_seconds: float
    fail: tuple[int, ...]
    json: bool


def run(options: Options) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises a `DuologueError` if it cannot."""
    asyncio.run(_serve(options))


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # Read before the parts start: a mistake in it is told at once.
    faults = Faults() if options.faults is None else load_faults(options.faults)
    parts = _parts(options)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(parts.close)
        _tell(*parts.notices)
        service = await stack.enter_async_context(_service(options, parts, faults))
        label = parts.mind.label
        ready = {"base_url": service.base_url, "replies": label}
        line = (
            msgspec.json.encode(ready).decode() if options.json else ready["base_url"]
        )
        print(line, flush=True)
        if options.faults is not None:
            _tell(f"things go wrong as {options.faults} says")
        _tell(f"replies: {label}; Ctrl-C ends it")
        await stop.wait()


def _parts(options: Options) -> Parts:
    path = options.scenario
    mind = None if path is None else load_scenario(path)
    try:
        return from_urls(**attrs.asdict(options.elsewhere), mind=mind)
    except (ValueError, SynthesiserError) as error:
        raise ServiceError(str(error)) from error


def _service(options: Options, parts: Parts, faults: Faults) -> LocalService:
    return LocalService(
        host=options.host,
        port=options.port,
        key=options.key,
        parts=parts,
        options=SessionOptions(label=parts.mind.label, life=options.session_seconds),
        max_listening=options.max_listening,
        allow_origins=options.allow_origins,
        fail=options.fail,
        faults=faults,
    )


def _tell(*notices: str) -> None:
    for notice in notices:
        print(f"duologue local: {notice}", file=sys.stderr, flush=True)
