"""``duologue local``: the local service, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..shared.options import Host, Json, Port

if TYPE_CHECKING:
    from duologue.local import Parts

__all__ = ["local"]

_PartUrl = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it
    typer.Option(
        metavar="URL",
        help="Base URL (up to /v1) of a service with OpenAI's API that replaces the "
        "ear (speech recognition), the voice (speech synthesis) or the mind (replies).",
    ),
]
_PartModel = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="MODEL", help="The model of that service."),
]


def local(
    host: Host = "127.0.0.1",
    port: Port = 0,
    key: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            envvar="DUOLOGUE_LOCAL_KEY",
            help="The only API key to accept; by default every key is accepted.",
        ),
    ] = None,
    scenario: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="YAML file with the scripted replies."),
    ] = None,
    faults: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="YAML file with the faults to inject."),
    ] = None,
    ear_url: _PartUrl = None,
    ear_model: _PartModel = None,
    voice_url: _PartUrl = None,
    voice_model: _PartModel = None,
    mind_url: _PartUrl = None,
    mind_model: _PartModel = None,
    allow_origin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="ORIGIN",
            help="Allow requests from pages of this origin (http://localhost:3000); "
            "repeat it for more.",
        ),
    ] = None,
    max_listening: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=0,
            metavar="N",
            help="The most sessions that recognise speech at once, by default 10 for "
            "each core; further ones get 429.",
        ),
    ] = None,
    session_seconds: Annotated[
        float, typer.Option(min=1, help="The longest duration of a session.")
    ] = 3600,
    fail: Annotated[
        Optional[list[int]],  # noqa: UP045
        typer.Option(
            min=200,
            max=599,
            metavar="STATUS",
            help="Answer the next request with this status; repeat it for the requests "
            "after it. 200 lets one through.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Serve the local Realtime service until Ctrl-C.

    Prints its base URL on a line of standard output when it is ready. Replies are
    scripted and not from a language model, unless --mind-url names one.
    """
    urls = {
        "ear_url": ear_url,
        "ear_model": ear_model,
        "voice_url": voice_url,
        "voice_model": voice_model,
        "mind_url": mind_url,
        "mind_model": mind_model,
    }
    options = {
        "host": host,
        "port": port,
        "key": key,
        "max_listening": max_listening,
        "allow_origins": tuple(allow_origin or ()),
        "fail": tuple(fail or ()),
    }
    asyncio.run(_serve(urls, scenario, faults, session_seconds, options, json))


async def _serve(
    urls: dict[str, Any],
    scenario: Path | None,
    faults: Path | None,
    session_seconds: float,
    options: dict[str, Any],
    json: bool,
) -> None:
    from duologue.local import Faults, LocalService, Options, load_faults

    from ..shared.control_characters import json_line
    from ..shared.signals import stop_event

    stop = stop_event()
    # Loaded before the parts start, so that a mistake is reported at once.
    injected = Faults() if faults is None else load_faults(faults)
    parts = _make_parts(urls, scenario)
    label = parts.mind.label
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(parts.close)
        _print_notices(*parts.notices)
        service = LocalService(
            parts=parts,
            faults=injected,
            options=Options(label=label, life=session_seconds),
            **options,
        )
        await stack.enter_async_context(service)
        url = service.base_url
        ready = json_line({"base_url": url, "replies": label}) if json else url
        print(ready.rstrip(), flush=True)
        if faults is not None:
            _print_notices(f"injecting the faults of {faults}")
        _print_notices(f"replies: {label}; press Ctrl-C to stop")
        await stop.wait()


def _make_parts(urls: dict[str, Any], scenario: Path | None) -> Parts:
    from duologue.local import ServiceError, load_scenario
    from duologue.local.components import from_urls
    from duologue.local.interfaces import SynthesiserError

    mind = None if scenario is None else load_scenario(scenario)
    try:
        return from_urls(**urls, mind=mind)
    except (ValueError, SynthesiserError) as error:
        raise ServiceError(str(error)) from error


def _print_notices(*notices: str) -> None:
    for notice in notices:
        print(f"duologue local: {notice}", file=sys.stderr, flush=True)
