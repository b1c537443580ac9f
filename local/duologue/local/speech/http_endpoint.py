"""Parts that are services elsewhere: the one module of this root that knows httpx."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx

from duologue.transports.http.credentials import Secret

__all__ = ["Far", "Gone"]

#: Bytes of an answer that is read whole, and of a line of a stream.
_LIMIT = 1024 * 1024
#: Characters of a foreign text that a message of ours repeats.
_QUOTED = 200
#: Seconds to connect, and between two pieces of an answer.
_CONNECT, _SILENCE = 5.0, 30.0
_LAST_PORT = 65_535


class Gone(Exception):
    """The service did not do it; the message is one line. ``status`` of its answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Far:
    """One endpoint of a service that speaks OpenAI's HTTP API.

    ``url`` is the service's base URL (``https://…/v1``) or the endpoint's own; a
    missing ``path`` is put behind it. No redirect is followed, so a key goes to the
    host that was named and to no other. Raises ValueError for what is no such URL.
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
            raise ValueError(f"the URL of the {part} begins with http:// or https://")
        if (self._url.port or 0) > _LAST_PORT:
            raise ValueError(f"not a URL for the {part}: no port {self._url.port}")
        if not self._url.path.endswith(path):
            self._url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        self._key = key
        self._client: httpx.AsyncClient | None = None

    @property
    def place(self) -> str:
        """The host, and the port where it is named."""
        return self._url.netloc.decode().rpartition("@")[2]

    @property
    def stays(self) -> bool:
        """Whether the service is on this machine, by an address of its own."""
        try:
            return ipaddress.ip_address(self._url.host).is_loopback
        except ValueError:
            return self._url.host == "localhost"

    async def ask(self, **body: Any) -> bytes:
        """Post a request and read the whole answer. Raises `Gone`."""
        async with self._answer(**body) as answer:
            read = bytearray()
            async for piece in answer.aiter_bytes():
                read += piece
                if len(read) > _LIMIT:
                    raise Gone(f"the {self.part} at {self.place} answers too much")
            return bytes(read)

    async def stream(self, **body: Any) -> AsyncGenerator[bytes]:
        """Post a request and give the answer as it comes. Raises `Gone`."""
        async with self._answer(**body) as answer:
            async for piece in answer.aiter_bytes():
                yield piece

    async def lines(self, **body: Any) -> AsyncGenerator[str]:
        """Post a request and give the answer's lines as they come. Raises `Gone`."""
        rest = b""
        async with aclosing(self.stream(**body)) as pieces:
            async for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > _LIMIT:
                    raise Gone(f"the {self.part} at {self.place} answers too much")
                for line in whole:
                    yield line.decode(errors="replace").rstrip("\r")
        if rest:
            yield rest.decode(errors="replace")

    async def close(self) -> None:
        """Close what is open. Idempotent."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    @asynccontextmanager
    async def _answer(self, **body: Any) -> AsyncIterator[httpx.Response]:
        """The answer to a request, once it is known to be a good one."""
        try:
            client = self._connected()
            async with client.stream("POST", self._url, **body) as answer:
                if answer.status_code != 200:
                    head = (await _head(answer)).decode(errors="replace")
                    raise Gone(
                        self._refusal(answer.status_code, head), answer.status_code
                    )
                yield answer
        except httpx.ConnectError as error:
            raise Gone(
                f"nothing answers at {self.place}: {_line(str(error))}"
            ) from error
        except (httpx.TimeoutException, TimeoutError):
            raise Gone(f"the {self.part} at {self.place} does not answer") from None
        except (httpx.HTTPError, httpx.StreamError, OSError, ValueError) as error:
            why = _line(str(error)) or "it closed the connection"
            raise Gone(
                f"the exchange with the {self.part} at {self.place} broke off: {why}"
            ) from error

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            headers = {}
            if self._key is not None:
                headers["Authorization"] = f"Bearer {self._key.reveal()}"
            self._client = httpx.AsyncClient(
                headers=headers,
                follow_redirects=False,
                # A proxy of the environment cannot reach our loopback.
                trust_env=not self.stays,
                timeout=httpx.Timeout(_SILENCE, connect=_CONNECT),
                verify=self._url.scheme != "http",
            )
        return self._client

    def _refusal(self, status: int, head: str) -> str:
        with suppress(ValueError, LookupError, TypeError, RecursionError):
            head = str(json.loads(head)["error"]["message"])
        if self._key is not None:
            # Some services repeat the key that they refuse.
            head = head.replace(self._key.reveal(), "***")
        said = _line(head) or "an empty body"
        return f"the {self.part} at {self.place} refused ({status}): {said}"


async def _head(answer: httpx.Response) -> bytes:
    """The beginning of a body."""
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
