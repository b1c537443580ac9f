"""The responses in progress: one in the conversation, any number out of band.

A response waits for the transcripts of the user's last utterances, then for the reply
model, then for the synthesiser; a spoken item is added with its first audio. Every
response ends with one ``response.done``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from duologue.core.events import (
    AnyItem,
    MessageItem,
    RateLimit,
    RateLimitsUpdated,
    RealtimeResponse,
    ResponseCreated,
    ResponseDone,
    ResponseError,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseStatusDetails,
    ResponseUsage,
)

from ..interfaces import Call, Prompt, Say, Tool
from ..schema.refusal import Refusal
from ..speech.g711 import Resampling, Writer
from .audio_buffers import OutputBuffer
from .conversation import Conversation, entries_of
from .effects import GenerateReply, StopResponse, Synthesise
from .outbox import Outbox
from .output_items import AudioWriter, Delivery, FunctionCall, Message, PcmWriter
from .settings import EngineOptions, Settings
from .usage import TokenCounter, first_tokens, text_tokens

__all__ = ["ResponseInProgress", "ResponsePlan", "Responses", "plan_response"]

#: Tokens per minute that ``rate_limits.updated`` reports; no limit is enforced.
_RATE_LIMIT = 1_000_000
#: Maximum responses in progress at a time, including out-of-band ones.
_MOST_RESPONSES = 32

_Source = Callable[[], tuple[AnyItem, ...]]


@attrs.frozen(kw_only=True)
class ResponsePlan:
    """The settings of one response. ``conversation_id`` is None out of band.

    ``phases``: the messages of the response have a ``phase``.
    """

    delivery: Delivery
    voice: str
    instructions: str
    tools: tuple[Tool, ...]
    tool_choice: str
    metadata: dict[str, str]
    conversation_id: str | None
    max_output_tokens: int | str
    audio: dict[str, Any]
    phases: bool

    @property
    def in_band(self) -> bool:
        """Whether the response belongs to the conversation."""
        return self.conversation_id is not None

    @property
    def spoken(self) -> bool:
        """Whether the response is audio, not text."""
        return self.delivery.spoken

    @property
    def modalities(self) -> tuple[str, ...]:
        """``("audio",)`` or ``("text",)``."""
        return ("audio",) if self.spoken else ("text",)

    @property
    def most_tokens(self) -> int | None:
        """The output limit in tokens; None for no limit."""
        limit = self.max_output_tokens
        return limit if isinstance(limit, int) else None


def plan_response(
    settings: Settings,
    options: EngineOptions,
    resampling: Resampling | None,
    *,
    metadata: Mapping[str, str],
    conversation_id: str | None,
) -> ResponsePlan:
    """The plan of a response with these settings."""
    return ResponsePlan(
        delivery=Delivery(
            spoken=settings.modalities == ("audio",),
            pace=options.pace,
            writer=None
            if options.media
            else _new_writer(settings.output_format, resampling),
        ),
        voice=settings.voice,
        instructions=settings.instructions,
        tools=settings.tools,
        tool_choice=settings.tool_choice,
        metadata={"duologue": options.label, **metadata},
        conversation_id=conversation_id,
        max_output_tokens=settings.max_output_tokens,
        audio=settings.output_audio,
        phases=settings.reasons,
    )


def _new_writer(kind: str, resampling: Resampling | None) -> Callable[[], AudioWriter]:
    if kind == "audio/pcm" or resampling is None:
        return PcmWriter
    return lambda: Writer(kind, resampling)


class ResponseInProgress:
    """One response, from ``response.created`` to ``response.done``.

    ``waits`` contains the utterances whose transcripts are missing. ``limited``: the
    reply exceeded the token limit. ``failure``: the reply model failed; the response
    fails after the text that preceded the failure has been sent.
    """

    def __init__(self, outbox: Outbox, plan: ResponsePlan) -> None:
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
        self._sent = 0
        self._tokens = 0
        self._cut: Message | None = None

    @property
    def current(self) -> Message | FunctionCall | None:
        """The output item that is being sent; None if there is none."""
        return self.outputs[self._sent] if self.outputs[self._sent :] else None

    @property
    def finished(self) -> bool:
        """Whether the reply model has finished and all of its output is sent."""
        generated = not self.thinking and not self.waits
        return generated and self._sent == len(self.outputs)

    @property
    def said(self) -> str:
        """All text and arguments sent so far."""
        return " ".join(output.said for output in self.outputs)

    @property
    def audio_ms(self) -> int:
        """The synthesised audio, in ms."""
        return sum(output.audio_ms for output in self.outputs)

    @property
    def deadline(self) -> float | None:
        """When the next output is due."""
        return None if self.current is None else self.current.deadline

    def say(self, said: Say) -> None:
        """Add text to the current message, or begin one."""
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
        """Add a function call; one without a name is ignored."""
        if not call.name:
            return
        whole = self._within_limit(call.arguments) == call.arguments
        if whole and not self.limited:
            self._seal()
            output = FunctionCall(self._outbox, self.id, *self._next(), call)
            self.outputs.append(output)

    def finish_thinking(self) -> None:
        """The reply model has finished."""
        self.thinking = False
        self._seal()

    @property
    def opened(self) -> list[tuple[Message | FunctionCall, str]]:
        """The output items so far, each with its status if the response ended now."""
        return [
            (output, "completed" if self._is_whole(output) else "incomplete")
            for output in self.outputs
            if output.opened_at is not None
        ]

    def _is_whole(self, output: Message | FunctionCall) -> bool:
        """Whether an output item is complete and sent."""
        return output.index < self._sent and output is not self._cut

    def item(self, output: Message | FunctionCall, status: str) -> AnyItem:
        """An output item in its current state."""
        item = output.item(status)
        if isinstance(item, MessageItem) and self.plan.phases:
            after = self.outputs[output.index + 1 :]
            calls = any(isinstance(each, FunctionCall) for each in after)
            phase = "commentary" if calls else "final_answer"
            item = msgspec.structs.replace(item, phase=phase)
        return item

    def is_ready(self, output: Message | FunctionCall) -> bool:
        """Whether an output item can be added.

        The phase of a message is known when the reply model has finished it. Without
        tools no call can follow.
        """
        plan = self.plan
        calls = plan.phases and plan.tools and plan.tool_choice != "none"
        return output.ready and (output.sealed or not calls)

    def next_output(self) -> None:
        """Continue with the next output item, because the current one is complete."""
        self._sent += 1

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

    def _next(self) -> tuple[int, Delivery]:
        return len(self.outputs), self.plan.delivery

    def _seal(self) -> None:
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, Message) and not last.sealed:
            last.seal()

    def _within_limit(self, text: str) -> str:
        """The part of a text that fits into the token limit."""
        most = self.plan.most_tokens
        if most is None:
            return text
        kept = first_tokens(text, most - self._tokens)
        self._tokens += text_tokens(kept)
        self.limited = self.limited or kept != text
        return kept


class Responses:
    """Creates responses and advances each until it is done."""

    def __init__(
        self,
        outbox: Outbox,
        conversation: Conversation,
        tokens: TokenCounter,
        output: OutputBuffer | None,
        session: str,
    ) -> None:
        self._outbox = outbox
        self._conversation = conversation
        self._tokens = tokens
        self._output = output
        self._session = session
        self._responses: dict[str, ResponseInProgress] = {}
        self._sources: dict[str, _Source] = {}
        self._audio_ms: dict[str, int] = {}
        self._cut: set[str] = set()
        self._ended_at: float | None = None
        self._now = 0.0

    @property
    def active(self) -> ResponseInProgress | None:
        """The conversation's response in progress, if any."""
        running = (
            response for response in self._responses.values() if response.plan.in_band
        )
        return next(running, None)

    @property
    def deadline(self) -> float | None:
        """When `advance` is due next."""
        times = (response.deadline for response in self._responses.values())
        return min((at for at in times if at is not None), default=None)

    def get(self, response_id: str) -> ResponseInProgress | None:
        """The response in progress with this id, if any."""
        return self._responses.get(response_id)

    def audio_of(self, item_id: str) -> int | None:
        """The ms of synthesised audio of a spoken item; None for any other item."""
        for response in self._responses.values():
            for output in response.outputs:
                if output.id == item_id and output.spoken:
                    return self._audio_ms.get(item_id, output.audio_ms)
        return self._audio_ms.get(item_id)

    def take_ended_at(self) -> float | None:
        """When playback of the conversation's last completed response ends.

        None if no response was completed since the last call.
        """
        ended_at, self._ended_at = self._ended_at, None
        return ended_at

    def truncate(self, item_id: str, ms: int) -> None:
        """Truncate an item's audio at ``ms``; its transcript is removed."""
        self._audio_ms[item_id] = ms
        self._cut.add(item_id)
        self._conversation.silence(item_id)

    def create(
        self, plan: ResponsePlan, source: _Source, waits: set[str], at: float
    ) -> ResponseInProgress:
        """Create a response to ``source``; wait for the transcripts of ``waits``.

        Raises `Refusal` if too many out-of-band responses are in progress.
        """
        if not plan.in_band and len(self._responses) >= _MOST_RESPONSES:
            raise Refusal(
                "rate_limit_exceeded",
                f"A session has up to {_MOST_RESPONSES} responses at a time here.",
            )
        response = ResponseInProgress(self._outbox, plan)
        self._responses[response.id] = response
        self._sources[response.id] = source
        self._outbox.emit(ResponseCreated, response=response.shown("in_progress"))
        response.waits = waits
        self._think(response, at)
        return response

    def heard(self, utterance: str, at: float) -> None:
        """Stop waiting for the transcript of an utterance."""
        for response in self._responses.values():
            if utterance in response.waits:
                response.waits.discard(utterance)
                self._think(response, at)

    def thought(self, response_id: str, thought: Say | Call) -> None:
        """The reply model produced more text or a function call."""
        response = self._responses.get(response_id)
        if response is None or not response.thinking:
            return
        if isinstance(thought, Say):
            response.say(thought)
        else:
            response.call(thought)
        if response.limited:
            self._outbox.request(StopResponse(response.id))
            response.finish_thinking()
        self._speak(response)

    def thought_all(self, response_id: str) -> None:
        """The reply model has finished."""
        response = self._responses.get(response_id)
        if response is not None and response.thinking:
            response.finish_thinking()
            self._speak(response)

    def voiced(self, response_id: str, pcm24k: bytes) -> bool:
        """Process synthesised audio; return False if no response needs it."""
        response = self._responses.get(response_id)
        if response is None:
            return False
        output = response.current
        if not isinstance(output, Message) or not output.voiced(pcm24k):
            return False
        if self._output is not None:
            item_id = output.id if response.plan.in_band else None
            self._output.write(response_id, item_id, pcm24k)
        return True

    def voiced_all(self, response_id: str) -> None:
        """The synthesiser has finished the last text."""
        response = self._responses.get(response_id)
        if response is not None and isinstance(response.current, Message):
            response.current.voiced_all()
            self._speak(response)

    def mind_failed(self, response_id: str, why: str, code: str) -> None:
        """The reply model failed: end the response after the text so far is sent."""
        response = self._responses.get(response_id)
        if response is not None and response.thinking:
            response.failure = _failure(why, code)
            response.finish_thinking()
            self._speak(response)

    def failed(self, response_id: str, why: str) -> None:
        """The synthesiser failed: end the response."""
        if (response := self._responses.get(response_id)) is not None:
            self._outbox.request(StopResponse(response.id))
            self._finish(response, "failed", _failure(why, "server_error"))

    def cancel(self, response: ResponseInProgress, reason: str) -> None:
        """Cancel a response."""
        self._outbox.request(StopResponse(response.id))
        details = ResponseStatusDetails(type="cancelled", reason=reason)
        self._finish(response, "cancelled", details)

    def advance(self, at: float) -> None:
        """Send the output that is due; finish complete responses."""
        self._now = at
        for response in list(self._responses.values()):
            while (output := response.current) is not None and self._send(
                response, output, at
            ):
                response.next_output()
                self._speak(response)
            if response.finished and response.failure is not None:
                self._finish(response, "failed", response.failure)
            elif response.finished and response.limited:
                details = ResponseStatusDetails(
                    type="incomplete", reason="max_output_tokens"
                )
                self._finish(response, "incomplete", details)
            elif response.finished:
                self._finish(response, "completed", None)

    def _think(self, response: ResponseInProgress, at: float) -> None:
        if response.waits:
            return
        plan = response.plan
        response.thinking = True
        prompt = Prompt(
            instructions=plan.instructions,
            lines=entries_of(self._sources.pop(response.id)()),
            tools=plan.tools,
            tool_choice=plan.tool_choice,
            modalities=plan.modalities,
            max_output_tokens=plan.most_tokens,
            session=self._session,
            at=at,
        )
        self._outbox.request(GenerateReply(response.id, prompt))

    def _speak(self, response: ResponseInProgress) -> None:
        """Request synthesis of the current message's next text."""
        if isinstance(response.current, Message):
            text = response.current.take_text()
            if text is not None:
                self._outbox.request(Synthesise(response.id, text, response.plan.voice))

    def _send(
        self, response: ResponseInProgress, output: Message | FunctionCall, at: float
    ) -> bool:
        """Send the due part of an output item; return whether it is complete."""
        if output.opened_at is None:
            if not response.is_ready(output):
                return False
            item = response.item(output, "in_progress")
            self._outbox.emit(
                ResponseOutputItemAdded,
                response_id=response.id,
                output_index=output.index,
                item=item,
            )
            if response.plan.in_band:
                self._conversation.put(item)
            output.begin(at)
            if response.first_word_at is None:
                response.first_word_at = at
        output.send(at)
        return output.finished

    def _close(
        self, response: ResponseInProgress, output: Message | FunctionCall, status: str
    ) -> AnyItem:
        """Finish an output item, also in the conversation if it is still there."""
        output.close()
        item = response.item(output, status)
        if response.plan.in_band and output.id in self._conversation:
            self._conversation.done(item, by_model=True)
            if output.spoken:
                self._audio_ms.setdefault(output.id, output.audio_ms)
            if output.id in self._cut:
                self._conversation.silence(output.id)
        self._outbox.emit(
            ResponseOutputItemDone,
            response_id=response.id,
            output_index=output.index,
            item=item,
        )
        return item

    def _finish(
        self,
        response: ResponseInProgress,
        status: str,
        details: ResponseStatusDetails | None,
    ) -> None:
        del self._responses[response.id]
        self._sources.pop(response.id, None)
        # The service closes all output items at the end, in order.
        items = tuple(self._close(response, *opened) for opened in response.opened)
        usage = self._tokens.add_response(
            response.plan.instructions,
            response.said,
            response.audio_ms,
            keep=response.plan.in_band,
        )
        response.over = True
        if response.plan.in_band and status == "completed":
            began = (
                self._now if response.first_word_at is None else response.first_word_at
            )
            self._ended_at = max(self._now, began + response.audio_ms / 1000)
        shown = response.shown(status, output=items, details=details, usage=usage)
        self._outbox.emit(ResponseDone, response=shown)
        if self._output is not None:
            self._output.finish(response.id)
        limit = RateLimit(
            name="tokens", limit=_RATE_LIMIT, remaining=_RATE_LIMIT, reset_seconds=0.0
        )
        self._outbox.emit(RateLimitsUpdated, rate_limits=(limit,))


def _failure(why: str, code: str) -> ResponseStatusDetails:
    error = ResponseError(type="server_error", code=code, message=why)
    return ResponseStatusDetails(type="failed", error=error)
