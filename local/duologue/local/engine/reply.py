"""One response: how it is to be made, its outputs, and how far it got."""

from __future__ import annotations

from typing import Any

import attrs

from duologue.core.events import (
    AnyItem,
    RealtimeResponse,
    ResponseStatusDetails,
    ResponseUsage,
)

from ..interfaces import Call, Say, Tool
from .outbox import Outbox
from .output_items import FunctionCall, Manner, Message
from .usage import text_of, text_tokens

__all__ = ["Plan", "Reply"]


@attrs.frozen(kw_only=True)
class Plan:
    """How a response is to be made. ``conversation_id`` is None out of band."""

    manner: Manner
    voice: str
    instructions: str
    tools: tuple[Tool, ...]
    tool_choice: str
    metadata: dict[str, str]
    conversation_id: str | None
    max_output_tokens: int | str
    audio: dict[str, Any]

    @property
    def in_band(self) -> bool:
        """Whether it is part of the conversation."""
        return self.conversation_id is not None

    @property
    def spoken(self) -> bool:
        """Whether it answers in speech."""
        return self.manner.spoken

    @property
    def modalities(self) -> tuple[str, ...]:
        """``("audio",)`` or ``("text",)``."""
        return ("audio",) if self.spoken else ("text",)

    @property
    def most_tokens(self) -> int | None:
        """The limit of the output; None where there is none."""
        limit = self.max_output_tokens
        return limit if isinstance(limit, int) else None


class Reply:
    """A response from ``created`` to ``done``.

    ``limited``: the mind had more to say than the limit allows. ``failure``: the mind
    gave up, which ends the response once what it said before is sent.
    """

    def __init__(self, outbox: Outbox, plan: Plan) -> None:
        self.id = outbox.new_id("resp")
        self.plan = plan
        self.waits: set[str] = set()
        self.first_word_at: float | None = None
        self.over = False
        self.thinking = False
        self.limited = False
        self.failure: ResponseStatusDetails | None = None
        self.outputs: list[Message | FunctionCall] = []
        self._outbox = outbox
        self._made = 0
        self._tokens = 0
        self._cut: Message | None = None

    @property
    def current(self) -> Message | FunctionCall | None:
        """The output that is being made; None before, between and after them."""
        return self.outputs[self._made] if self.outputs[self._made :] else None

    @property
    def finished(self) -> bool:
        """Whether the mind is done, and all it wanted was made and sent."""
        thought = not self.thinking and not self.waits
        return thought and self._made == len(self.outputs)

    @property
    def said(self) -> str:
        """All words and arguments that were sent."""
        return " ".join(output.said for output in self.outputs)

    @property
    def audio_ms(self) -> int:
        """How much audio was made."""
        return sum(output.audio_ms for output in self.outputs)

    @property
    def deadline(self) -> float | None:
        """When there is something to send next."""
        return None if self.current is None else self.current.deadline

    def say(self, said: Say) -> None:
        """The mind says more."""
        text = self._within_limit(said.text)
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, Message) and not last.sealed:
            last.add(text)
        elif text.strip():
            message = Message(self._outbox, self.id, *self._next())
            message.add(text)
            self.outputs.append(message)
        last = self.outputs[-1] if self.outputs else None
        if self.limited and isinstance(last, Message) and not last.sealed:
            self._cut = last

    def call(self, call: Call) -> None:
        """The mind wants a function to be called; one without a name is no call."""
        if not call.name:
            return
        whole = self._within_limit(call.arguments) == call.arguments
        if whole and not self.limited:
            self._seal()
            output = FunctionCall(self._outbox, self.id, *self._next(), call)
            self.outputs.append(output)

    def think_no_more(self) -> None:
        """The mind is done."""
        self.thinking = False
        self._seal()

    @property
    def opened(self) -> list[tuple[Message | FunctionCall, str]]:
        """The outputs that the client knows, with the status that each would end in."""
        return [
            (output, "completed" if self._is_whole(output) else "incomplete")
            for output in self.outputs
            if output.opened_at is not None
        ]

    def _is_whole(self, output: Message | FunctionCall) -> bool:
        """Whether all that the mind wanted of it was made and sent."""
        return output.index < self._made and output is not self._cut

    def go_on(self) -> None:
        """The current output is complete; the next is current."""
        self._made += 1

    def shown(
        self,
        status: str,
        *,
        output: tuple[AnyItem, ...] = (),
        details: ResponseStatusDetails | None = None,
        usage: ResponseUsage | None = None,
    ) -> RealtimeResponse:
        """The response object of ``response.created`` and ``response.done``."""
        plan = self.plan
        return RealtimeResponse(
            id=self.id,
            object="realtime.response",
            status=status,
            status_details=details,
            output=output,
            conversation_id=plan.conversation_id,
            output_modalities=plan.modalities,
            max_output_tokens=plan.max_output_tokens,
            audio=plan.audio,
            usage=usage,
            metadata=plan.metadata,
        )

    def _next(self) -> tuple[int, Manner]:
        return len(self.outputs), self.plan.manner

    def _seal(self) -> None:
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, Message) and not last.sealed:
            last.seal()

    def _within_limit(self, text: str) -> str:
        """As much of a text as the limit of tokens leaves."""
        most = self.plan.most_tokens
        if most is None:
            return text
        kept = text_of(text, most - self._tokens)
        self._tokens += text_tokens(kept)
        self.limited = self.limited or kept != text
        return kept
