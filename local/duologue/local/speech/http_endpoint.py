"""Requests to external speech and chat services; the only user of httpx in `local`."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx

from duologue.transports.http.credentials import Secret

__all__ = ["Endpoint", "EndpointError"]

#: Maximum bytes of a response body, and of a line of a stream.
_LIMIT = 1024 * 1024
#: Maximum characters of the service's text in an error message.
_QUOTED = 200
#: Timeouts in seconds: to connect, and between two pieces of a response.
_CONNECT, _SILENCE = 5.0, 30.0
_LAST_PORT = 65_535


class EndpointError(Exception):
    """A request failed. The message is one line; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Endpoint:
    """An endpoint of a service with OpenAI's HTTP API.

    ``url`` is the base URL of the service (``https://…/v1``) or the URL of the
    endpoint; a missing ``path`` is appended. Redirects are not followed, so only the
    configured host receives the key. ``part`` names the component in messages. Raises
    ValueError for an invalid URL.
    """

    def __init__(
        self, part: str, url: str, path: str, model: str, key: Secret | None = None
    ) -> None:
        self.part = part
        self.model = model
        try:
            self._url = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise ValueError(f"not a URL for the {part}: {error}") from None
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError(f"the URL of the {part} must begin with http(s)://")
        if (self._url.port or 0) > _LAST_PORT:
            raise ValueError(f"not a URL for the {part}: no port {self._url.port}")
        if not self._url.path.endswith(path):
            self._url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        self._key = key
        self._client: httpx.AsyncClient | None = None

    @property
    def host(self) -> str:
        """The host, with the port if the URL has one."""
        return self._url.netloc.decode().rpartition("@")[2]

    @property
    def is_loopback(self) -> bool:
        """Whether the host is a loopback address: no data leaves the machine."""
        try:
            return ipaddress.ip_address(self._url.host).is_loopback
        except ValueError:
            return self._url.host == "localhost"

    async def post(self, **body: Any) -> bytes:
        """Send a request and return the response body. Raises `EndpointError`."""
        async with self._answer(**body) as answer:
            read = bytearray()
            async for piece in answer.aiter_bytes():
                read += piece
                if len(read) > _LIMIT:
                    raise self._too_long()
            return bytes(read)

    async def stream(self, **body: Any) -> AsyncGenerator[bytes]:
        """Send a request and stream the response body. Raises `EndpointError`."""
        async with self._answer(**body) as answer:
            async for piece in answer.aiter_bytes():
                yield piece

    async def lines(self, **body: Any) -> AsyncGenerator[str]:
        """Send a request and stream the lines of the body. Raises `EndpointError`."""
        rest = b""
        async with aclosing(self.stream(**body)) as pieces:
            async for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > _LIMIT:
                    raise self._too_long()
                for line in whole:
                    yield line.decode(errors="replace").rstrip("\r")
        if rest:
            yield rest.decode(errors="replace")

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    @asynccontextmanager
    async def _answer(self, **body: Any) -> AsyncIterator[httpx.Response]:
        """A response with the status 200."""
        try:
            client = self._connected()
            async with client.stream("POST", self._url, **body) as answer:
                if answer.status_code != 200:
                    head = (await _head(answer)).decode(errors="replace")
                    raise EndpointError(
                        self._refusal(answer.status_code, head), answer.status_code
                    )
                yield answer
        except httpx.ConnectError as error:
            raise EndpointError(
                f"nothing answers at {self.host}: {_line(str(error))}"
            ) from error
        except (httpx.TimeoutException, TimeoutError):
            raise EndpointError(
                f"the {self.part} at {self.host} does not answer"
            ) from None
        except (httpx.HTTPError, httpx.StreamError, OSError, ValueError) as error:
            why = _line(str(error)) or "it closed the connection"
            raise EndpointError(
                f"the exchange with the {self.part} at {self.host} broke off: {why}"
            ) from error

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            headers = {}
            if self._key is not None:
                headers["Authorization"] = f"Bearer {self._key.reveal()}"
            self._client = httpx.AsyncClient(
                headers=headers,
                follow_redirects=False,
                # A proxy cannot reach the loopback of this machine.
                trust_env=not self.is_loopback,
                timeout=httpx.Timeout(_SILENCE, connect=_CONNECT),
                verify=self._url.scheme != "http",
            )
        return self._client

    def _too_long(self) -> EndpointError:
        return EndpointError(
            f"the response of the {self.part} at {self.host} is too long"
        )

    def _refusal(self, status: int, head: str) -> str:
        with suppress(ValueError, LookupError, TypeError, RecursionError):
            head = str(json.loads(head)["error"]["message"])
        if self._key is not None:
            # Some services repeat the refused key.
            head = head.replace(self._key.reveal(), "***")
        said = _line(head) or "an empty body"
        return f"the {self.part} at {self.host} refused ({status}): {said}"


async def _head(answer: httpx.Response) -> bytes:
    """The beginning of the body."""
    read = bytearray()
    async with asyncio.timeout(_CONNECT):
        async for piece in answer.aiter_bytes():
            read += piece
            if len(read) > 64 * 1024:
                break
    return bytes(read)


def _line(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_QUOTED]
