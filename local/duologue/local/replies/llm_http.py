"""A language model by URL: a service with OpenAI's ``/chat/completions``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ..interfaces import (
    Call,
    Called,
    Line,
    Prompt,
    ReplyModelError,
    ReplyPart,
    Returned,
    Say,
)
from ..speech.http_endpoint import Endpoint, EndpointError

__all__ = ["HttpReplyModel"]

_TOO_MANY = 429


class HttpReplyModel:
    """Streams the text of the completion; the function calls follow at its end."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.label = f"{endpoint.model} at {endpoint.host}"

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ReplyPart]:
        """Stream the reply. Raises `ReplyModelError`."""
        stream = _Stream(self._endpoint.host)
        request = self._request(prompt)
        try:
            async with aclosing(self._endpoint.lines(json=request)) as lines:
                async for line in lines:
                    if text := stream.take(line):
                        yield Say(text)
        except EndpointError as error:
            busy = error.status == _TOO_MANY
            code = "inference_rate_limit_exceeded" if busy else "server_error"
            raise ReplyModelError(str(error), code=code) from error
        for call in stream.end():
            yield call

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": _messages(prompt),
            "stream": True,
        }
        if prompt.max_output_tokens is not None:
            request["max_completion_tokens"] = prompt.max_output_tokens
        if prompt.tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": json.loads(tool.parameters),
                    },
                }
                for tool in prompt.tools
            ]
            named = {"type": "function", "function": {"name": prompt.tool_choice}}
            request["tool_choice"] = named if prompt.forced else prompt.tool_choice
        return request


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The conversation as messages of the endpoint.

    The endpoint requires the outputs directly after their calls. Consecutive calls
    share one message; calls without an output are left out.
    """
    messages: list[dict[str, Any]] = []
    if prompt.instructions:
        messages.append({"role": "system", "content": prompt.instructions})
    outputs = {e.call_id: e.output for e in prompt.lines if isinstance(e, Returned)}
    calls: list[Called] = []
    for entry in prompt.lines:
        if isinstance(entry, Called):
            if entry.call_id in outputs:
                calls.append(entry)
            continue
        messages += _called(calls, outputs)
        calls = []
        if isinstance(entry, Line) and entry.text:
            messages.append({"role": entry.role, "content": entry.text})
    return messages + _called(calls, outputs)


def _called(calls: list[Called], outputs: dict[str, str]) -> list[dict[str, Any]]:
    if not calls:
        return []
    made = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]
    said = [
        {"role": "tool", "tool_call_id": call.call_id, "content": outputs[call.call_id]}
        for call in calls
    ]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *said]


class _Stream:
    """Reads server-sent events and assembles the function calls."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._calls: dict[int, dict[str, str]] = {}
        self._complete = False

    def take(self, line: str) -> str:
        """The text in a line. Raises `ReplyModelError` for an error event."""
        if not line.startswith("data:"):
            return ""
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self._complete = True
            return ""
        try:
            event = json.loads(data)
            if error := event.get("error"):
                raise ReplyModelError(
                    f"the mind at {self._host} failed: {_message(error)}"
                )
            return "".join(self._choice(choice) for choice in event["choices"][:1])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise ReplyModelError(
                f"the mind at {self._host} sent no valid completion"
            ) from None

    def end(self) -> list[Call]:
        """The calls. Raises `ReplyModelError` if the stream is incomplete."""
        if not self._complete:
            raise ReplyModelError(
                f"the response of the mind at {self._host} is incomplete"
            )
        return [
            Call(call["name"], call["arguments"] or "{}", call["id"] or None)
            for _, call in sorted(self._calls.items())
        ]

    def _choice(self, choice: dict[str, Any]) -> str:
        self._complete |= choice.get("finish_reason") is not None
        delta = choice.get("delta") or {}
        for piece in delta.get("tool_calls") or ():
            call = self._calls.setdefault(
                int(piece["index"]), {"id": "", "name": "", "arguments": ""}
            )
            function = piece.get("function") or {}
            call["id"] = call["id"] or piece.get("id") or ""
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""
        text: str = delta.get("content") or ""
        return text


def _message(error: Any) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(said).split())[:200]
