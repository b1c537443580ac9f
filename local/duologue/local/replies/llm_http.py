"""A mind by URL: any service with OpenAI's ``/chat/completions``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ..interfaces import Call, Called, Line, MindError, Prompt, Returned, Say, Thought
from ..speech.remote import Far, Gone

__all__ = ["UrlMind"]

_TOO_MANY = 429


class UrlMind:
    """A language model elsewhere: text goes on as it comes, calls at the end."""

    def __init__(self, far: Far) -> None:
        self._far = far
        self.label = f"{far.model} at {far.place}"

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Thought]:
        """The reply to what was said. Raises `MindError`."""
        stream = _Stream(self._far.place)
        try:
            async with aclosing(self._far.lines(json=self._request(prompt))) as lines:
                async for line in lines:
                    if text := stream.take(line):
                        yield Say(text)
        except Gone as error:
            busy = error.status == _TOO_MANY
            code = "inference_rate_limit_exceeded" if busy else "server_error"
            raise MindError(str(error), code=code) from error
        for call in stream.end():
            yield call

    async def close(self) -> None:
        """Close the connections."""
        await self._far.close()

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._far.model,
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
    """The conversation in the endpoint's shape.

    It asks that the outputs of calls follow them at once: they are put there, calls
    made together in one message; a call that has no output (yet) is left out.
    """
    messages: list[dict[str, Any]] = []
    if prompt.instructions:
        messages.append({"role": "system", "content": prompt.instructions})
    outputs = {e.call_id: e.output for e in prompt.lines if isinstance(e, Returned)}
    together: list[Called] = []
    for entry in prompt.lines:
        if isinstance(entry, Called):
            if entry.call_id in outputs:
                together.append(entry)
            continue
        messages += _called(together, outputs)
        together = []
        if isinstance(entry, Line) and entry.text:
            messages.append({"role": entry.role, "content": entry.text})
    return messages + _called(together, outputs)


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
    """Reads server-sent events: text as it comes, the pieces of calls put together."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._calls: dict[int, dict[str, str]] = {}
        self._complete = False

    def take(self, line: str) -> str:
        """The text in a line. Raises `MindError` where it tells of an error."""
        if not line.startswith("data:"):
            return ""
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self._complete = True
            return ""
        try:
            event = json.loads(data)
            if error := event.get("error"):
                raise MindError(f"the mind at {self._place} fails: {_message(error)}")
            return "".join(self._choice(choice) for choice in event["choices"][:1])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise MindError(
                f"the mind at {self._place} sends what is no completion"
            ) from None

    def end(self) -> list[Call]:
        """The calls. Raises `MindError` where the stream was cut off."""
        if not self._complete:
            raise MindError(f"the mind at {self._place} was cut off")
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
