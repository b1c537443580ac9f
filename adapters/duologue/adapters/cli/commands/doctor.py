"""``duologue doctor``: checks of this machine and of the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..shared.options import (
    BaseUrl,
    Json,
    Model,
    ProviderName,
    Transport,
    check_carrier,
    check_exclusive,
    check_service,
)

if TYPE_CHECKING:
    from ..doctor.check_report import Check, CheckReport

__all__ = ["doctor"]


def doctor(
    base_url: BaseUrl = None,
    provider: ProviderName = None,
    reach: Annotated[
        Optional[bool],  # noqa: UP045 - typer reads it
        typer.Option(
            "--reach/--no-reach",
            help="Check that the service answers. By default this is checked if there "
            "is a key for it or if it runs on this machine.",
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Run one turn with the service, which may cost money."
        ),
    ] = False,
    transport: Transport = "websocket",
    model: Model = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="LOG", help="Write the log of --live to this file."),
    ] = None,
    json: Json = False,
) -> None:
    """Check this machine and the service, and suggest what to do.

    Each line begins with ok, warn or fail. The exit status is 1 if a check fails. Keys
    are never shown.
    """
    # `doctor` also runs without the libraries that this check needs.
    with contextlib.suppress(ImportError):
        check_service(local=False, base_url=base_url, provider=provider)
    carrier = check_carrier(transport)
    if record is not None and not live:
        raise typer.BadParameter("--record needs --live")
    check_exclusive({"--live": live, "--no-reach": reach is False})
    from ..doctor.check_report import CheckReport
    from ..doctor.machine_checks import machine_checks

    report = CheckReport(json=json)
    for check in machine_checks():
        report.add(check)
    options = {"live": live, "carrier": carrier, "model": model, "record": record}
    checks = _service_checks(
        base_url=base_url, provider=provider, reach=reach, **options
    )
    asyncio.run(_report(checks, report))
    report.end()
    if report.has_failed:
        raise typer.Exit(1)


async def _service_checks(**options: Any) -> AsyncIterator[Check]:
    from duologue.transports import MissingExtra

    from ..doctor.check_report import warn

    try:
        from ..doctor.service_checks import service_checks
    except MissingExtra as error:
        yield warn("service", "no session can be started", str(error))
        return
    async for check in service_checks(**options):
        yield check


async def _report(checks: AsyncIterator[Check], report: CheckReport) -> None:
    async for check in checks:
        report.add(check)
