"""The HTTP exchange that starts a WebRTC call: the only module here with httpx.

One POST carries our offer to the service and its answer back (API page "Realtime
API with WebRTC"). Nothing is retried and no redirect is followed, so a key is sent
to the host that the caller named and to no other. What is said of addresses, keys and
refusals here holds for the upgrade to WebSocket too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import attrs

from ..contract import Target
from ..errors import (
    AuthenticationError,
    ConnectTimeout,
    MissingExtra,
    ServiceUnreachable,
    SignallingError,
)
from .credentials import Secret
from .redaction import Headers, one_line

try:
    import httpx
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "signalling needs httpx: pip install 'duologue[webrtc]'"
    ) from missing

__all__ = [
    "BODY_LIMIT",
    "Answer",
    "Reply",
    "authorization",
    "create_call",
    "create_key",
    "fetch_key",
    "hang_up",
    "identification",
    "is_call_id",
    "is_loopback",
    "refusal",
    "websocket_url",
]

#: Bytes of an answer that are read.
BODY_LIMIT = 65_536

_LAST_PORT = 65_535
_CALL_ID = re.compile(r"rtc_[A-Za-z0-9_-]{1,128}")


@attrs.frozen
class Answer:
    """What the service said to an offer.

    ``call_id`` names the call for a sideband and for `hang_up`; ``None`` where the
    service gave none, or none that is safe in a URL.
    """

    sdp: str
    call_id: str | None


@attrs.frozen
class Reply:
    """What a service answered: no more than its status, three headers and its body."""

    status: int
    # Some bodies hold a key.
    text: str = attrs.field(repr=False)
    content_type: str | None = None
    location: str = ""
    retry_after: str = ""


async def create_call(target: Target, offer: str) -> Answer:
    """Send the offer, and the session object with it where the key allows that.

    An ephemeral key carries its session already, and the offer goes as the body; an
    API key sends both, as the parts of a form. Raises the errors of `refusal`,
    `ServiceUnreachable`, and `ConnectTimeout` after ``target.timeout``.
    """
    body: dict[str, Any]
    if target.credentials.ephemeral:
        body = {"content": offer, "headers": {"Content-Type": "application/sdp"}}
    else:
        session = json.dumps(target.session, default=dict)
        body = {
            "files": {
                "sdp": (None, offer, "application/sdp"),
                "session": (None, session, "application/json"),
            }
        }
    reply = await _post(target, "/realtime/calls", body)
    if reply.status not in (200, 201):
        raise refusal(target, reply)
    if not reply.text.startswith("v=0"):
        raise SignallingError(
            f"the service answered the offer with {_described(target, reply)}, "
            "not with an SDP",
            status=reply.status,
        )
    return Answer(sdp=reply.text, call_id=_call_id(reply))


async def hang_up(target: Target, call_id: str) -> None:
    """End the call at the service. A call that it no longer knows is ended too.

    Raises as `create_call` does.
    """
    if not is_call_id(call_id):
        raise SignallingError("not the id of a call: it does not look like rtc_…")
    reply = await _post(target, f"/realtime/calls/{call_id}/hangup", {})
    if reply.status != 404 and not 200 <= reply.status < 300:
        raise refusal(target, reply)


async def create_key(target: Target, lifetime: int) -> Secret:
    """Mint an ephemeral key for the session of ``target``, good for so many seconds.

    Raises as `create_call` does.
    """
    wish = {
        "expires_after": {"anchor": "created_at", "seconds": lifetime},
        "session": target.session,
    }
    reply = await _post(target, "/realtime/client_secrets", _as_json(wish))
    if not 200 <= reply.status < 300:
        raise refusal(target, reply)
    return _key_in(reply)


async def fetch_key(
    address: str, headers: Mapping[str, str], session: Mapping[str, Any], timeout: float
) -> Secret:
    """Ask a token endpoint for a key, within ``timeout`` seconds.

    Raises as `create_call` does. A message of ours repeats nothing of what it
    answered: that may be a key.
    """
    url = _safe(address)
    body = _as_json({"session": session})
    # Under the same name: a traceback shows this frame without what they hold.
    headers = Headers(body.pop("headers"), headers)
    reply = await _exchange(url, headers, body, timeout)
    if reply.status in (401, 403):
        raise AuthenticationError(
            f"the token endpoint refused ({reply.status})", status=reply.status
        )
    if not 200 <= reply.status < 300:
        raise SignallingError(
            f"the token endpoint answered {reply.status}",
            status=reply.status,
            retry_after=_seconds(reply.retry_after),
        )
    return _key_in(reply)


def _as_json(value: Any) -> dict[str, Any]:
    content = json.dumps(value, default=dict)
    return {"content": content, "headers": {"Content-Type": "application/json"}}


def _key_in(reply: Reply) -> Secret:
    """The key of an answer, in the form of the GA or of the beta before it."""
    key = _key_of(reply.text)
    if key is None:
        raise SignallingError("the answer holds no key", status=reply.status)
    return key


def _key_of(text: str) -> Secret | None:
    try:
        fields = json.loads(text)
        old = fields.get("client_secret")
        value = fields.get("value") or (old.get("value") if old else None)
    except (ValueError, AttributeError, RecursionError):
        return None
    return Secret(value) if isinstance(value, str) and value else None


def is_loopback(base_url: str) -> bool:
    """Whether the URL's host is this machine by an address of its own.

    Raises `SignallingError` for what is no base URL.
    """
    host = _url(base_url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# -- the exchange


async def _post(target: Target, path: str, body: dict[str, Any]) -> Reply:
    url = _safe(target.base_url + path)
    headers = Headers(body.pop("headers", {}), identification(target))
    return await _exchange(url, headers, body, target.timeout)


async def _exchange(
    url: httpx.URL, headers: Mapping[str, str], body: dict[str, Any], timeout: float
) -> Reply:
    async with _translated(url, timeout), _client(url) as client:
        request = client.build_request("POST", url, **body)
        request.headers.update(Headers(headers, {"Accept-Encoding": "identity"}))
        response = await client.send(request, stream=True)
        try:
            text = await _read(response)
        finally:
            await response.aclose()
    return Reply(
        response.status_code,
        text,
        content_type=response.headers.get("content-type"),
        location=response.headers.get("location", ""),
        retry_after=response.headers.get("retry-after", ""),
    )


def _client(url: httpx.URL) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        follow_redirects=False,
        # A proxy of the environment cannot reach our loopback.
        trust_env=not is_loopback(str(url)),
        # The time is kept in one place, around the whole exchange.
        timeout=None,
        # Loading the certificates takes 60 ms, for nothing where no TLS is spoken.
        verify=url.scheme != "http",
    )


def authorization(target: Target) -> str:
    """The value of the ``Authorization`` header.

    Raises `AuthenticationError` for a key that no header can carry; a library would
    repeat it in its own message.
    """
    if not target.credentials.key.reveal():
        raise AuthenticationError("there is no key: set OPENAI_API_KEY, or give one")
    if not re.fullmatch(r"[!-~]+", target.credentials.key.reveal()):
        raise AuthenticationError("the key holds characters that no header can carry")
    return target.credentials.header


def identification(target: Target) -> Mapping[str, str]:
    """The headers that say who asks. Raises as `authorization` does.

    Their ``repr`` shows no value.
    """
    user = target.safety_identifier
    named = {} if user is None else {"OpenAI-Safety-Identifier": user}
    return Headers({"Authorization": authorization(target)}, named)


def websocket_url(base_url: str, query: Mapping[str, str]) -> str:
    """The address of a session over WebSocket. Raises `SignallingError`."""
    url = _safe(base_url + "/realtime")
    scheme = "ws" if url.scheme == "http" else "wss"
    return f"{url.copy_with(scheme=scheme)}?{urlencode(query)}"


def is_call_id(name: str) -> bool:
    """Whether this looks like the name of a call, and so may stand in an address."""
    return _CALL_ID.fullmatch(name) is not None


async def _read(response: httpx.Response) -> str:
    """Read the body as it came, up to `BODY_LIMIT` bytes of it."""
    body = bytearray()
    # Raw, because a compressed body may unpack to any size.
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise SignallingError(
                f"the service answered with more than {BODY_LIMIT} bytes",
                status=response.status_code,
            )
    return body.decode(errors="replace")


@asynccontextmanager
async def _translated(url: httpx.URL, timeout: float) -> AsyncIterator[None]:
    """The table from what httpx raises to what we raise."""
    place = f"{url.host}:{url.port or (80 if url.scheme == 'http' else 443)}"
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise ConnectTimeout(
            f"the service at {place} did not answer within {timeout:.3g} s"
        ) from None
    except httpx.ConnectError as error:
        raise ServiceUnreachable(
            f"nothing answers at {place} ({one_line(str(error))})"
        ) from error
    except httpx.HTTPError as error:
        why = one_line(str(error)) or "it closed the connection without an answer"
        raise SignallingError(f"the exchange with {place} broke off: {why}") from error
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        # A proxy or certificates that the environment names and that are not usable.
        raise SignallingError(
            f"no request can be made to {place}: {one_line(str(error))}"
        ) from error


# -- what came back


def refusal(target: Target, reply: Reply) -> SignallingError:
    """The table from HTTP status to error.

    401 and 403 are `AuthenticationError`, all others `SignallingError`; both say
    what the service's ``error.message`` says.
    """
    status = reply.status
    said = _described(target, reply)
    if status in (401, 403):
        return AuthenticationError(
            f"the service refused the key ({status}): {said}", status=status
        )
    if 300 <= status < 400:
        return SignallingError(
            f"the service redirects ({status}), which is not followed: "
            "check the base URL",
            status=status,
        )
    hint = " (a base URL ends in /v1)" if status == 404 else ""
    return SignallingError(
        f"the service refused ({status}): {said}{hint}",
        status=status,
        retry_after=_seconds(reply.retry_after),
    )


def _seconds(text: str) -> float | None:
    """What ``Retry-After`` asks for; None for a date, and for what is nothing."""
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text.strip()) else None


def _described(target: Target, reply: Reply) -> str:
    """One line about a body: its ``error.message``, or its type and first words."""
    if not reply.text.strip():
        return "an empty body"
    try:
        said = json.loads(reply.text)["error"]["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        kind = one_line(reply.content_type or "no content type")
        said = f"{kind}: {reply.text}"
    return one_line(str(said), target.credentials.key)


def _call_id(reply: Reply) -> str | None:
    path = reply.location.partition("?")[0]
    name = path.rstrip("/").rpartition("/")[2]
    return name if _CALL_ID.fullmatch(name) else None


def _safe(text: str) -> httpx.URL:
    """An address that a key may be sent to. Raises `SignallingError`.

    A password in it would stand in messages, and plain HTTP is for this machine.
    """
    url = _url(text)
    if url.userinfo:
        raise SignallingError("the base URL must not hold a user or a password")
    if url.scheme == "http" and not is_loopback(text):
        raise SignallingError(
            f"the base URL of a service elsewhere begins with https: to {url.host} "
            "the key would go in clear"
        )
    return url


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise SignallingError(f"not a base URL: {one_line(str(error))}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise SignallingError("the base URL has to begin with http:// or https://")
    if url.port is not None and url.port > _LAST_PORT:
        raise SignallingError(f"not a base URL: there is no port {url.port}")
    return url
