"""The ASGI application: its routes, and mounting it into another application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
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
from duologue.transports import Credentials, Provider
from duologue.transports.client.client import default_config
from duologue.transports.errors import DuologueError, SignallingError
from duologue.transports.http.providers import find_provider
from duologue.transports.http.signalling import is_loopback

from ..pages.refusals import Refused
from ..sessions.limits import Limits
from ..sessions.registry import Registry
from .feed import Feed
from .records_api import Records
from .request_guard import RequestGuard
from .routes import Api, Authenticate, json_reply

__all__ = ["create_app", "mount"]

_STATIC = Path(__file__).parents[1] / "static"
#: Voices of the service, as its API reference lists them.
_VOICES = (
    *("alloy", "ash", "ballad", "cedar", "coral"),
    *("echo", "marin", "sage", "shimmer", "verse"),
)

#: The default configuration of a session.
_CONFIG = SessionConfig(transcription=Transcription(model=TRANSCRIPTION))
_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    *,
    base_url: str | None = None,
    credentials: Credentials | None = None,
    provider: Provider | str | None = None,
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
    """The page and its server, to run alone or to `mount` into another application.

    ``base_url``, ``credentials`` and ``provider`` have the defaults of `Client`.
    ``authenticate`` is called with each request and each WebSocket handshake, and
    returns the user's name or None; without it only this machine is served.
    ``allow_origins`` are the public origins of this server, and origins of other pages
    that may use it. ``direct`` lets browsers call the service themselves, with
    ephemeral keys. ``config`` is the initial configuration of a session. A page may
    select the models in ``config``, those in ``models``, and for transcription those in
    ``transcription_models``. The functions in ``tools`` run in this process when the
    model calls them. ``service`` is the name of the service that the page shows.

    Raises `SignallingError` for an unsafe base URL (``http`` beyond loopback, or with
    a user in it) and for a provider without WebRTC, `DuologueError` for an invalid
    origin, ValueError for an unknown provider.
    """
    provider = find_provider(provider)
    url = provider.find_base_url(base_url)
    host = _checked_host(url)
    # Browsers use WebRTC only.
    provider.calls_url(url)
    config = default_config(config or _CONFIG, provider)
    model = () if config.model is UNSET else (str(config.model),)
    registry = Registry(
        base_url=url,
        credentials=credentials or provider.credentials(),
        provider=provider,
        config=config,
        models=tuple(dict.fromkeys((*model, *models))),
        tools=tuple(tools),
        limits=limits or Limits(),
        transcription_models=tuple(
            dict.fromkeys((_transcription_model(config), *transcription_models))
        ),
    )
    api = Api(registry, authenticate, _about(registry, service or host, direct=direct))
    guard = Middleware(
        RequestGuard,
        origins=tuple(map(_checked_origin, allow_origins)),
        authenticated=authenticate is not None,
        connect_to=(_origin(url),) if direct else (),
    )
    return _application(registry, api, direct, Feed(registry, authenticate), guard)


def _about(registry: Registry, service: str, *, direct: bool) -> dict[str, Any]:
    """The settings of the server that pages receive."""
    limits, session = registry.limits, registry.config.to_session()
    return {
        "mode": "direct" if direct else "relay",
        "service": {"name": service, "local": is_loopback(registry.client.base_url)},
        # A page may not set tools, so it does not receive them.
        "defaults": {k: session[k] for k in session if not k.startswith("tool")},
        "models": registry.models,
        "transcription_models": registry.transcription_models,
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
    registry: Registry, api: Api, direct: bool, feed: Feed, guard: Middleware
) -> Starlette:
    session, records = "/api/sessions/{id}", Records(registry, api)
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
        ("POST", "/api/import", records.import_log),
        *((("POST", "/api/token", api.token),) if direct else ()),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await registry.aclose()

    app = Starlette(
        routes=[
            Route("/", _page, methods=["GET"]),
            *(Route(path, _refusing(do), methods=[verb]) for verb, path, do in routes),
            WebSocketRoute("/api/feed", feed.__call__),
            Mount("/static", _Static(directory=_STATIC, check_dir=False)),
        ],
        middleware=[guard],
        exception_handlers={HTTPException: _not_found, Exception: _broken},
        lifespan=lifespan,
    )
    app.state.registry = registry
    return app


def mount(parent: Starlette, path: str, app: Starlette) -> None:
    """Mount ``app`` in another application; the end of its lifespan ends all calls.

    After a plain ``parent.mount(path, app)``, calls are hung up only if the event loop
    ends with its tasks cancelled: under uvicorn after Ctrl-C, but not after SIGTERM.
    """
    parent.mount(path, app)
    registry: Registry = app.state.registry
    outer = parent.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(application: Any) -> AsyncGenerator[Any]:
        async with outer(application) as state:
            try:
                yield state
            finally:
                await registry.aclose()

    parent.router.lifespan_context = lifespan


def _transcription_model(config: SessionConfig) -> str:
    transcription: Any = config.transcription
    match transcription:
        case Transcription(model=str(model)) | {"model": str(model)}:
            return model
    return TRANSCRIPTION


def _checked_host(url: str) -> str:
    """The host of a base URL. Raises `SignallingError` for an unsafe one."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise SignallingError("the base URL must not contain a user or a password")
    if not is_loopback(url) and parts.scheme != "https":
        raise SignallingError("the base URL of a remote service must begin with https")
    return parts.netloc


def _checked_origin(origin: str) -> str:
    """An origin as browsers send it. Raises `DuologueError` for an invalid one."""
    parts = urlsplit(origin)
    is_web = parts.scheme in ("http", "https")
    if not is_web or not parts.netloc or parts.path.strip("/"):
        raise DuologueError(f"not an origin (https://name.example): {origin!r}")
    return _origin(origin)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class _Static(StaticFiles):
    """Static files that browsers revalidate on each use."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _refusing(do: _Handler) -> _Handler:
    """The handler, with `Refused` turned into a response."""

    async def handler(request: Request) -> Response:
        try:
            return await do(request)
        except Refused as error:
            return json_reply(error.body, error.status)
        except ClientDisconnect:
            refusal = Refused(400, "cut_off", "the client disconnected")
            return json_reply(refusal.body, refusal.status)

    return handler


async def _not_found(request: Request, error: Exception) -> Response:
    """An error of Starlette (404, 405), as a JSON response of this API."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"there is no {request.method} {request.url.path}"
    return json_reply(Refused(status, "not_found", message).body, status)


async def _broken(request: Request, error: Exception) -> Response:
    """An unexpected error. Starlette raises it again, so that it is logged."""
    return json_reply(Refused(500, "failed", "the server failed").body, 500)
