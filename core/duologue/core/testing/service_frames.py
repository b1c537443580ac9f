"""A writer of the frames of a service, in the order of the protocol.

No method uses the reducer, so a test knows the expected state from the calls that it
made.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from .stream import Frame

__all__ = ["Service", "message"]

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
#: Ten ms of audio.
_AUDIO = base64.b64encode(bytes(480)).decode()
#: The usage of a response, and the statuses of responses without usage.
_USAGE: Frame = {
    "input_token_details": {
        **{"text_tokens": 1, "audio_tokens": 1, "cached_tokens": 1},
        "cached_tokens_details": {"text_tokens": 1, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 0, "audio_tokens": 1},
    **{"total_tokens": 3, "input_tokens": 2, "output_tokens": 1},
}
_UNCOUNTED = ("cancelled", "failed")


class Service:
    """The service's side of a session; ``frames`` are the frames so far.

    >>> service = Service()
    >>> service.created()
    >>> item_id = service.spoken("what ", "time is it?")
    >>> reply_id = service.reply("Three ", "o'clock.")
    >>> from duologue.core import fold, select_transcripts
    >>> from .stream import to_records
    >>> state = fold(to_records(service.frames))
    >>> [line.text for line in select_transcripts(state.sessions["s"])]
    ['what time is it?', "Three o'clock."]
    """

    def __init__(self, prefix: str = "") -> None:
        self.frames: list[Frame] = []
        #: The id of the last item of the conversation.
        self.last: str | None = None
        self._prefix = prefix
        self._count = 0

    def name(self, kind: str) -> str:
        """A new id."""
        self._count += 1
        return f"{self._prefix}{kind}_{self._count}"

    def send(self, type: str, **fields: Any) -> Frame:
        """Add a frame of the service."""
        frame = {"type": type, "event_id": self.name("event"), **fields}
        self.frames.append(frame)
        return frame

    def note(self, fact: str, **fields: Any) -> None:
        """Add a local fact or a frame of the client."""
        self.frames.append({"type": fact, **fields})

    # --- The session --------------------------------------------------------------

    def created(self, **config: Any) -> None:
        """The session is created."""
        session = {"type": "realtime", "id": self.name("sess"), **config}
        self.send("session.created", session=session)

    # --- The user ------------------------------------------------------------------

    def typed(self, text: str, role: str = "user") -> str:
        """The client sends a text message; returns the id of its item."""
        item_id = self.name("item")
        item = message(item_id, role, [{"type": "input_text", "text": text}])
        self.note("conversation.item.create", item=item)
        self.put(item)
        return item_id

    def put(self, item: Frame, *, done: bool = True) -> None:
        """Add an item at the end of the conversation."""
        previous, self.last = self.last, str(item["id"])
        self.send("conversation.item.added", item=item, previous_item_id=previous)
        if done:
            self.send("conversation.item.done", item=item, previous_item_id=previous)

    def start_speech(self) -> str:
        """The user begins to speak; returns the id of the future item."""
        item_id = self.name("item")
        self.send(
            "input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=10
        )
        return item_id

    def end_speech(self, item_id: str) -> None:
        """The user stops speaking, and the audio becomes an item."""
        self.send(
            "input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=900
        )
        self.send(
            "input_audio_buffer.committed", item_id=item_id, previous_item_id=self.last
        )
        item = message(item_id, "user", [{"type": "input_audio", "transcript": None}])
        self.put(item)

    def hear(self, item_id: str, words: str) -> None:
        """A delta of the transcription."""
        self.send(
            f"{_TRANSCRIPTION}.delta", item_id=item_id, content_index=0, delta=words
        )

    def transcribe(
        self, item_id: str, chunks: Sequence[str], *, fails: bool = False
    ) -> None:
        """The transcription of the user's speech: its deltas, then the full text."""
        for chunk in chunks:
            self.hear(item_id, chunk)
        at: Frame = {"item_id": item_id, "content_index": 0}
        if fails:
            self.send(f"{_TRANSCRIPTION}.failed", **at, error={"message": "inaudible"})
        else:
            usage = {"type": "duration", "seconds": 1.5}
            words = "".join(chunks)
            self.send(
                f"{_TRANSCRIPTION}.completed", **at, transcript=words, usage=usage
            )

    def spoken(self, *chunks: str) -> str:
        """A complete utterance of the user; returns the id of its item."""
        item_id = self.start_speech()
        self.end_speech(item_id)
        self.transcribe(item_id, chunks)
        return item_id

    # --- The model -----------------------------------------------------------------

    def begin(self, *, in_band: bool = True, metadata: Any = None) -> str:
        """A response begins; returns its id."""
        response_id = self.name("resp")
        self.send(
            "response.created",
            response={
                "id": response_id,
                "status": "in_progress",
                "conversation_id": "conv_1" if in_band else None,
                "metadata": metadata,
            },
        )
        return response_id

    def open(
        self, response_id: str, item: Frame, *, index: int = 0, in_band: bool = True
    ) -> None:
        """An output item begins."""
        at: Frame = {"response_id": response_id, "output_index": index}
        self.send("response.output_item.added", **at, item=item)
        if in_band:
            self.put(item, done=False)

    def close(
        self, response_id: str, item: Frame, *, index: int = 0, in_band: bool = True
    ) -> None:
        """An output item ends."""
        if in_band:
            self.send("conversation.item.done", item=item, previous_item_id=None)
        at: Frame = {"response_id": response_id, "output_index": index}
        self.send("response.output_item.done", **at, item=item)

    def say(
        self,
        response_id: str,
        chunks: Sequence[str],
        *,
        spoken: bool = True,
        in_band: bool = True,
        index: int = 0,
    ) -> Frame:
        """An assistant item up to its last delta; pass the result to `finish`."""
        item_id = self.name("item")
        item = message(item_id, "assistant", [], status="in_progress")
        self.open(response_id, item, index=index, in_band=in_band)
        at: Frame = {"response_id": response_id, "item_id": item_id}
        at |= {"output_index": index, "content_index": 0}
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text"}
        self.send("response.content_part.added", **at, part=part)
        said = {**at, "text": "", "spoken": spoken, "in_band": in_band}
        for chunk in chunks:
            self.utter(said, chunk)
        return said

    def utter(self, said: Frame, chunk: str) -> None:
        """One more delta of an assistant item."""
        at: Frame = {key: said[key] for key in (*_ITEM, "output_index")}
        at["content_index"] = 0
        kind = "output_audio_transcript" if said["spoken"] else "output_text"
        self.send(f"response.{kind}.delta", **at, delta=chunk)
        if said["spoken"]:
            self.send("response.output_audio.delta", **at, delta=_AUDIO)
        said["text"] += chunk

    def finish(self, said: Frame, status: str = "completed") -> Frame:
        """End the item; returns it as it is in ``response.done``."""
        at: Frame = {key: said[key] for key in (*_ITEM, "output_index")}
        at["content_index"] = 0
        text = said["text"]
        if said["spoken"]:
            self.send("response.output_audio_transcript.done", **at, transcript=text)
            self.send("response.output_audio.done", **at)
            part = {"type": "output_audio", "transcript": text}
        else:
            self.send("response.output_text.done", **at, text=text)
            part = {"type": "output_text", "text": text}
        self.send("response.content_part.done", **at, part=part)
        item = message(said["item_id"], "assistant", [part], status=status)
        self.close(
            said["response_id"],
            item,
            index=said["output_index"],
            in_band=said["in_band"],
        )
        return item

    def end(
        self,
        response_id: str,
        output: Sequence[Frame] = (),
        status: str = "completed",
        *,
        in_band: bool = True,
        **details: Any,
    ) -> None:
        """End the response. A cancelled or failed one has no usage."""
        self.send(
            "response.done",
            response={
                "id": response_id,
                "status": status,
                "status_details": details or None,
                "conversation_id": "conv_1" if in_band else None,
                "output": list(output),
                "usage": None if status in _UNCOUNTED else _USAGE,
            },
        )

    def reply(self, *chunks: str, **how: Any) -> str:
        """A complete reply; returns the id of its item."""
        in_band = how.get("in_band", True)
        response_id = self.begin(in_band=in_band)
        said = self.say(response_id, chunks, **how)
        self.end(response_id, [self.finish(said)], in_band=in_band)
        return str(said["item_id"])

    # --- Tools --------------------------------------------------------------------

    def call(
        self,
        response_id: str,
        name: str,
        chunks: Sequence[str],
        *,
        index: int = 0,
        status: str = "completed",
    ) -> Frame:
        """A complete function call; returns its item."""
        item_id, call_id = self.name("item"), self.name("call")
        item: Frame = {"id": item_id, "type": "function_call", "name": name}
        item |= {"call_id": call_id, "arguments": "", "status": "in_progress"}
        self.open(response_id, item, index=index)
        at: Frame = {"response_id": response_id, "item_id": item_id}
        at |= {"call_id": call_id, "output_index": index}
        for chunk in chunks:
            self.send("response.function_call_arguments.delta", **at, delta=chunk)
        whole = "".join(chunks)
        self.send(
            "response.function_call_arguments.done", **at, arguments=whole, name=name
        )
        item = {**item, "arguments": whole, "status": status}
        self.close(response_id, item, index=index)
        return item

    def answer(self, call_id: str, output: str) -> str:
        """The client sends the output of a function; returns the id of the item."""
        self.note("duologue.tool_started", call_id=call_id)
        self.note("duologue.tool_finished", call_id=call_id)
        item: Frame = {"id": self.name("item"), "type": "function_call_output"}
        item |= {"call_id": call_id, "output": output}
        self.note("conversation.item.create", item=item)
        self.put({**item, "status": "completed"})
        return str(item["id"])

    def list_tools(self, label: str, *, fails: bool = False) -> str:
        """The tool list of an MCP server; returns the id of the item."""
        item_id = self.name("mcpl")
        self.send("mcp_list_tools.in_progress", item_id=item_id)
        item: Frame = {"id": item_id, "type": "mcp_list_tools", "server_label": label}
        self.put({**item, "tools": [] if fails else [{"name": "look"}]})
        self.send(
            f"mcp_list_tools.{'failed' if fails else 'completed'}", item_id=item_id
        )
        return item_id

    def mcp_call(
        self, response_id: str, label: str, *, index: int = 0, fails: bool = False
    ) -> Frame:
        """A call of an MCP tool by the service; returns its item."""
        item: Frame = {"id": self.name("mcp"), "type": "mcp_call", "name": "look"}
        item |= {"server_label": label, "arguments": "", "status": "in_progress"}
        self.open(response_id, item, index=index)
        at: Frame = {"item_id": item["id"], "output_index": index}
        arguments = {"response_id": response_id, **at}
        self.send("response.mcp_call_arguments.delta", **arguments, delta="{}")
        self.send("response.mcp_call_arguments.done", **arguments, arguments="{}")
        self.send("response.mcp_call.in_progress", **at)
        if fails:
            error = {"type": "http_error", "code": 500, "message": "no"}
            item = {**item, "arguments": "{}", "status": "incomplete", "error": error}
        else:
            item = {**item, "arguments": "{}", "status": "completed", "output": "seen"}
        self.send(f"response.mcp_call.{'failed' if fails else 'completed'}", **at)
        self.close(response_id, item, index=index)
        return item

    def approval(self, label: str, response_id: str, *, index: int = 0) -> Frame:
        """An approval request for an MCP tool; returns its item."""
        item: Frame = {"id": self.name("mcpr"), "type": "mcp_approval_request"}
        item |= {"server_label": label, "name": "look", "arguments": "{}"}
        self.open(response_id, item, index=index)
        self.close(response_id, item, index=index)
        return item

    def approve(self, request_id: str) -> str:
        """The client approves the request; returns the id of the item."""
        item: Frame = {"id": self.name("item"), "type": "mcp_approval_response"}
        item |= {"approval_request_id": request_id, "approve": True}
        self.note("conversation.item.create", item=item)
        self.put(item)
        return str(item["id"])


_ITEM = ("response_id", "item_id")


def message(
    item_id: str, role: str, content: Sequence[Frame], status: str = "completed"
) -> Frame:
    """A message item in wire format."""
    return {
        "id": item_id,
        "type": "message",
        "role": role,
        "status": status,
        "content": list(content),
    }
