"""The application: routes, and how it is mounted into another one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from duologue.core import SessionConfig
from duologue.core.events.config import Transcription
from duologue.core.models import TRANSCRIPTION
from duologue.transports import Credentials
from duologue.transports.client.client import DEFAULT_BASE_URL, default_config
from duologue.transports.errors import DuologueError, SignallingError
from duologue.transports.http.signalling import is_loopback

from ..pages.refusals import Refused
from ..sessions.limits import Limits
from ..sessions.registry import Hub
from .feed import Feed
from .records_api import Records
from .request_guard import Guard
from .routes import Api, Authenticate, json_reply

__all__ = ["create_app", "mount"]

_STATIC = Path(__file__).parents[1] / "static"
#: Voices of the service, as its API reference lists them.
_VOICES = (
    *("alloy", "ash", "ballad", "cedar", "coral"),
    *("echo", "marin", "sage", "shimmer", "verse"),
)

#: What a session begins with where nothing is said.
_CONFIG = SessionConfig(transcription=Transcription(model=TRANSCRIPTION))
_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    *,
    base_url: str | None = None,
    credentials: Credentials | None = None,
    authenticate: Authenticate | None = None,
    allow_origins: Iterable[str] = (),
    direct: bool = False,
    limits: Limits | None = None,
    config: SessionConfig | None = None,
    models: Iterable[str] = (),
    transcription_models: Iterable[str] = (),
    tools: Iterable[Callable[..., Any]] = (),
    service: str | None = None,
) -> Starlette:
    """The page and its server, to be run by itself or mounted into another application.

    ``base_url`` and ``credentials`` default as those of `Client`. ``authenticate`` gets
    each request and each upgrade, and gives the name of the user or None; without it
    only this machine is served. ``allow_origins`` are the origins by which it is
    reached from elsewhere, and those of pages that may use it. ``direct`` lets the
    browser call the service by itself, with an ephemeral key. ``config`` is what a
    session begins with, ``models`` are those that a page may choose beside its model,
    ``transcription_models`` those that may write down what the user says; ``tools`` are
    run here when the model calls them, ``service`` is how the page calls the service.
    Raises `SignallingError` for a base URL that is not safe to use
    (``http`` beyond loopback, or with a user in it), `DuologueError` for what is no
    origin.
    """
    url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    url = url.rstrip("/")
    host = _checked(url)
    config = default_config(config or _CONFIG)
    model = () if config.model is UNSET else (str(config.model),)
    hub = Hub(
        base_url=url,
        credentials=credentials or Credentials.from_environment(),
        config=config,
        models=tuple(dict.fromkeys((*model, *models))),
        tools=tuple(tools),
        limits=limits or Limits(),
        transcribers=_transcribers(config, transcription_models),
    )
    api = Api(hub, authenticate, _about(hub, service or host, direct=direct))
    guard = Middleware(
        Guard,
        origins=tuple(map(_checked_origin, allow_origins)),
        authenticated=authenticate is not None,
        connect_to=(_origin(url),) if direct else (),
    )
    return _application(hub, api, direct, Feed(hub, authenticate), guard)


def _about(hub: Hub, service: str, *, direct: bool) -> dict[str, Any]:
    """What a page is told of its server."""
    limits = hub.limits
    return {
        "mode": "direct" if direct else "relay",
        "service": {"name": service, "local": is_loopback(hub.client.base_url)},
        "defaults": _shown(hub.config),
        "models": hub.models,
        "transcription_models": hub.transcribers,
        "voices": _VOICES,
        "recording": False,
        "limits": {
            "sessions": limits.sessions,
            "minutes": limits.minutes,
            "records": limits.records,
            "bytes": limits.bytes,
        },
    }


def _application(
    hub: Hub, api: Api, direct: bool, feed: Feed, guard: Middleware
) -> Starlette:
    session, records = "/api/sessions/{id}", Records(hub, api)
    routes: tuple[tuple[str, str, _Handler], ...] = (
        ("GET", "/api/config", api.config),
        ("GET", "/api/sessions", api.sessions),
        ("POST", "/api/sessions", api.create),
        ("DELETE", session, api.remove),
        ("POST", f"{session}/offer", api.offer),
        ("POST", f"{session}/commands", api.command),
        ("GET", f"{session}/records", records.index),
        ("GET", f"{session}/records/{{seq:int}}", records.one),
        ("GET", f"{session}/view", records.view),
        ("GET", f"{session}/log", records.log),
        ("POST", "/api/import", records.take),
        *((("POST", "/api/token", api.token),) if direct else ()),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await hub.aclose()

    app = Starlette(
        routes=[
            Route("/", _page, methods=["GET"]),
            *(Route(path, _guarded(do), methods=[way]) for way, path, do in routes),
            WebSocketRoute("/api/feed", feed.__call__),
            Mount("/static", _Static(directory=_STATIC, check_dir=False)),
        ],
        middleware=[guard],
        exception_handlers={HTTPException: _not_found, Exception: _broken},
        lifespan=lifespan,
    )
    app.state.hub = hub
    return app


def mount(parent: Starlette, path: str, app: Starlette) -> None:
    """Mount it at a path of another application, and hang up when that one ends.

    After ``parent.mount(path, app)`` calls are hung up only where the event loop comes
    to its end, which under uvicorn Ctrl-C brings about and SIGTERM does not.
    """
    parent.mount(path, app)
    hub: Hub = app.state.hub
    outer = parent.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(application: Any) -> AsyncGenerator[Any]:
        async with outer(application) as state:
            try:
                yield state
            finally:
                await hub.aclose()

    parent.router.lifespan_context = lifespan


def _transcribers(config: SessionConfig, more: Iterable[str]) -> tuple[str, ...]:
    """The models that may write: that of the configuration, or the usual one."""
    writing: Any = config.transcription
    is_plain = isinstance(writing, Mapping)
    own = writing.get("model") if is_plain else getattr(writing, "model", None)
    first = own if isinstance(own, str) else TRANSCRIPTION
    return tuple(dict.fromkeys((first, *more)))


def _shown(config: SessionConfig) -> dict[str, Any]:
    """A configuration without its tools, which a page may not set and need not know."""
    session = config.to_session()
    return {name: session[name] for name in session if not name.startswith("tool")}


def _checked(url: str) -> str:
    """The host of a base URL. Raises `SignallingError` for one that is not safe."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise SignallingError("the base URL must not hold a user or a password")
    if not is_loopback(url) and parts.scheme != "https":
        raise SignallingError("the base URL of a service elsewhere begins with https")
    return parts.netloc


def _checked_origin(origin: str) -> str:
    """An origin as a browser says it. Raises `DuologueError` for what is none."""
    parts = urlsplit(origin)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or parts.path.strip("/")
    ):
        raise DuologueError(f"not an origin (https://name.example): {origin!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class _Static(StaticFiles):
    """Files of the page. A browser asks each time whether they are still the same."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _guarded(do: _Handler) -> _Handler:
    """The handler with its refusals as answers."""

    async def handler(request: Request) -> Response:
        try:
            return await do(request)
        except Refused as error:
            refusal = error
        except ClientDisconnect:
            refusal = Refused(400, "cut_off", "the request was cut off")
        return json_reply(refusal.body, refusal.status)

    return handler


async def _not_found(request: Request, error: Exception) -> Response:
    """A path or method that is not there, in our shape."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = f"there is no {request.method} {request.url.path}"
    return json_reply(Refused(status, "not_found", said).body, status)


async def _broken(request: Request, error: Exception) -> Response:
    """A fault of ours; Starlette raises it for the log."""
    return json_reply(Refused(500, "failed", "the server failed").body, 500)
