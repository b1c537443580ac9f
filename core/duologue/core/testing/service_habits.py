"""Habits of services: in what the services of other vendors differ from the API.

A habit changes the frames of a complete session. The expected lines and calls stay
those of the plan, so a test knows what the state must contain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import attrs
import msgspec

from .session_script import Line, PlannedCall, Script
from .stream import Frame, direction

__all__ = ["HABITS", "with_habits"]

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_CREATE = "conversation.item.create"
_ADDED = "conversation.item.added"
_DONE = "conversation.item.done"
#: The events of output items and their parts.
_OUTPUT = (
    "response.output_",
    "response.content_part.",
    "response.function_call_arguments.",
)


def with_habits(played: Script, habits: Iterable[str]) -> Script:
    """The session as a service with these habits sends it.

    * ``requests_ignored``: no response to a ``response.create``
    * ``no_echo``: no copy of an item that the client creates
    * ``no_updated``, ``no_truncated``: no ``session.updated``, no ``…item.truncated``
    * ``output_refused``, ``item_refused``, ``update_refused``: an error for one of
      several outputs of calls, for one restored item, for every ``session.update``
    * ``field_refused``: ``session.updated`` has another value of one field
    * ``listed_in_done``: the items of a response are in its ``response.done`` only
    * ``no_announcements``: no events of items and parts, and none in ``response.done``:
      only their texts and arguments
    * ``item_ids_shared``: one item id for the words and the calls of a response
    * ``item_ids_own``: other ids for the items that the client creates
    * ``item_ids_again``, ``call_ids_again``, ``response_ids_again``: numbered from 1 on
      each connection
    * ``item_ids_per_response``, ``call_ids_per_response``: numbered from 1 in each
      response
    * ``one_response_id``: the same id for all responses
    * ``no_response_ids``, ``no_call_ids``: no id of a response, of a call
    * ``no_output_ids``: no ids of items in ``response.done``
    * ``null_predecessors``, ``no_predecessors``: ``previous_item_id`` null, or missing
    * ``no_conversation``: ``conversation_id`` missing
    * ``no_usage``, ``no_totals``, ``no_split``, ``no_cached_split``: no usage, or no
      ``total_tokens``, modalities, modalities of the cached tokens
    * ``growing_indexes``: each partial transcription is the text so far, in a content
      part of its own
    * ``mcp_error_text``: the ``error`` of an MCP call is a string
    * ``short_names``: names of events as in the beta, or in old guides

    If a habit removes all frames about a line or a call, it is not expected any more.
    A habit changes nothing that would be ambiguous for every reader: an id is not used
    again while its first owner is still mentioned. Raises ValueError for an unknown
    habit.

    >>> from .session_script import Turn, script
    >>> played = script([Turn(user=("hello",), reply=("Hi.",))])
    >>> other = with_habits(played, ["no_predecessors"])
    >>> any("previous_item_id" in frame for frame in other.frames)
    False
    >>> other.lines == played.lines
    True
    """
    names = _known(habits)
    # A copy without shared objects: habits change frames in place.
    frames = msgspec.json.decode(msgspec.json.encode(played.frames))
    draft = _Draft(frames, list(played.lines), list(played.calls))
    for name in names:
        HABITS[name](draft)
    return Script(tuple(draft.frames), tuple(draft.lines), tuple(draft.calls), names)


def _known(habits: Iterable[str]) -> tuple[str, ...]:
    """These habits in the order of `HABITS`; raises ValueError for an unknown one."""
    wanted = {*habits}
    if unknown := sorted(wanted - HABITS.keys()):
        known = ", ".join(HABITS)
        raise ValueError(f"no such habit: {', '.join(unknown)}; there are {known}")
    return tuple(name for name in HABITS if name in wanted)


@attrs.define
class _Draft:
    """A session that habits change in place."""

    frames: list[Frame]
    lines: list[Line]
    calls: list[PlannedCall]

    def received(self, *prefixes: str) -> Iterator[Frame]:
        """The frames of the service whose type begins with one of these."""
        for frame in self.frames:
            if direction(frame) == "in" and frame["type"].startswith(prefixes):
                yield frame

    def responses(self, type: str) -> Iterator[Frame]:
        """The response in each ``response.created`` or ``response.done``."""
        return (frame["response"] for frame in self.received(type))

    def asides(self) -> set[str]:
        """The ids of the out-of-band responses."""
        return {
            response["id"]
            for response in self.responses("response.created")
            if response.get("conversation_id") is None
        }

    def outputs(self) -> dict[str, Frame]:
        """The event that adds each output item, by the id of the item."""
        return {
            frame["item"]["id"]: frame
            for frame in self.received("response.output_item.added")
        }

    def epochs(self) -> list[int]:
        """The connection of each frame, numbered from 0."""
        found, epoch = list[int](), -1
        for frame in self.frames:
            is_first = frame.get("attempt", 1) == 1
            epoch += frame["type"] == "duologue.connecting" and is_first
            found.append(max(epoch, 0))
        return found

    def restoring(self) -> list[bool]:
        """Whether each frame restores an item of an earlier connection."""
        first: dict[str, int] = {}
        found = list[bool]()
        for frame, epoch in zip(self.frames, self.epochs(), strict=True):
            for kind, _, _, value in _ids(frame):
                if kind == "item":
                    first.setdefault(value, epoch)
            names_one = frame["type"] in (_CREATE, _ADDED, _DONE)
            found.append(names_one and first[frame["item"]["id"]] < epoch)
        return found

    def created(self) -> set[str]:
        """The ids of the items that the client created, except for restored ones."""
        return {
            frame["item"]["id"]
            for frame, restores in zip(self.frames, self.restoring(), strict=True)
            if frame["type"] == _CREATE and not restores
        }

    def remove(self, is_gone: Iterable[bool], *, relink: bool = True) -> None:
        """Remove frames; an item behind a removed one gets its predecessor."""
        kept = list[Frame]()
        earlier: dict[Any, Any] = {}
        for frame, gone in zip(self.frames, is_gone, strict=True):
            if frame["type"] == "duologue.connecting":
                earlier.clear()
            while relink and frame.get("previous_item_id") in earlier:
                frame["previous_item_id"] = earlier[frame["previous_item_id"]]
            if not gone:
                kept.append(frame)
            elif frame["type"] == _ADDED:
                earlier[frame["item"]["id"]] = frame.get("previous_item_id")
        self.frames = kept

    def forget(self, ids: Collection[str]) -> None:
        """Remove every frame about these items, responses and calls."""
        self.remove([_is_about(frame, ids) for frame in self.frames])
        self.lines = [line for line in self.lines if line.item_id not in ids]
        self.calls = [call for call in self.calls if call.call_id not in ids]

    def rename(self, wanted: str, names: Mapping[str, str]) -> None:
        for frame in self.frames:
            for kind, holder, key, value in _ids(frame):
                is_one = kind == wanted or (kind, wanted) == ("previous", "item")
                if is_one and value in names:
                    holder[key] = names[value]
        if wanted == "item":
            self.lines = [
                attrs.evolve(line, item_id=names.get(line.item_id, line.item_id))
                for line in self.lines
            ]
        if wanted == "call":
            self.calls = [
                attrs.evolve(call, call_id=names.get(call.call_id, call.call_id))
                for call in self.calls
            ]


_IN_FRAME = (
    ("item", "item_id"),
    ("previous", "previous_item_id"),
    ("response", "response_id"),
    ("call", "call_id"),
)
_IN_ITEM = (("item", "id"), ("call", "call_id"), ("item", "approval_request_id"))
_IN_RESPONSE = (("response", "id"),)


def _ids(frame: Frame) -> Iterator[tuple[str, Frame, str, str]]:
    """The ids in a frame: the kind, the object that holds it, its key, the id."""
    response = frame.get("response", {})
    places = [(frame, _IN_FRAME), (frame.get("item", {}), _IN_ITEM)]
    places += [(response, _IN_RESPONSE)]
    places += [(item, _IN_ITEM) for item in response.get("output", ())]
    for holder, keys in places:
        for kind, key in keys:
            if isinstance(value := holder.get(key), str):
                yield kind, holder, key, value


def _is_about(frame: Frame, ids: Collection[str]) -> bool:
    return any(it[0] != "previous" and it[3] in ids for it in _ids(frame))


# Requests without an answer, or refused.


def _ignore_requests(draft: _Draft) -> None:
    gone, waiting, asides = set[str](), 0, draft.asides()
    for frame in draft.frames:
        if frame["type"] == "response.create":
            params = frame.get("response", {})
            waiting += params.get("conversation") != "none"
        elif frame["type"] == "response.created":
            response_id = frame["response"]["id"]
            if waiting and response_id not in asides:
                waiting -= 1
                gone.add(response_id)
    for item_id, frame in draft.outputs().items():
        if frame["response_id"] in gone:
            gone |= {item_id, frame["item"].get("call_id", item_id)}
    draft.forget(gone)


def _echo_nothing(draft: _Draft) -> None:
    created = draft.created()
    restoring = draft.restoring()
    draft.remove(
        frame["type"] in (_ADDED, _DONE)
        and (restores or frame["item"]["id"] in created)
        for frame, restores in zip(draft.frames, restoring, strict=True)
    )
    draft.lines = [line for line in draft.lines if line.item_id not in created]


def _confirm_no_update(draft: _Draft) -> None:
    draft.remove(frame["type"] == "session.updated" for frame in draft.frames)


def _confirm_no_truncation(draft: _Draft) -> None:
    name = "conversation.item.truncated"
    draft.remove(frame["type"] == name for frame in draft.frames)


def _refuse_output(draft: _Draft) -> None:
    """Refuse one of several outputs of a response: the last one, then the first."""
    responses: dict[str, list[str]] = {}
    for frame in draft.outputs().values():
        if call_id := frame["item"].get("call_id"):
            responses.setdefault(frame["response_id"], []).append(call_id)
    several = [calls for calls in responses.values() if len(calls) > 1]
    refused = {calls[number % 2 - 1] for number, calls in enumerate(several)}
    _refuse(
        draft,
        [
            frame["type"] in (_CREATE, _ADDED, _DONE)
            and frame["item"]["type"] == "function_call_output"
            and frame["item"]["call_id"] in refused
            for frame in draft.frames
        ],
    )


def _refuse_item(draft: _Draft) -> None:
    """Refuse the first restored item of each connection."""
    first: dict[int, str] = {}
    is_one = list[bool]()
    rows = zip(draft.frames, draft.restoring(), draft.epochs(), strict=True)
    for frame, restores, epoch in rows:
        if restores:
            first.setdefault(epoch, frame["item"]["id"])
        is_one.append(restores and first[epoch] == frame["item"]["id"])
    _refuse(draft, is_one)


def _refuse(draft: _Draft, is_refused: list[bool]) -> None:
    """An error in place of the copies of each refused item."""
    frames, gone, count = list[Frame](), list[bool](), 0
    for frame, refused in zip(draft.frames, is_refused, strict=True):
        is_request = frame["type"] == _CREATE
        if refused and is_request:
            count += 1
            frame["event_id"] = f"refused_{count}"
        elif refused and frame["type"] == _ADDED:
            frames.append(_error(f"refused_{count}", "item"))
            gone.append(False)
        frames.append(frame)
        gone.append(refused and not is_request)
    draft.frames = frames
    draft.remove(gone)


def _error(event_id: str, param: str) -> Frame:
    error = {"type": "invalid_request_error", "code": "invalid_value"}
    error |= {"message": f"no such {param}", "param": param, "event_id": event_id}
    return {"type": "error", "event_id": f"error_{event_id}", "error": error}


def _refuse_update(draft: _Draft) -> None:
    count = 0
    for number, frame in enumerate(draft.frames):
        if frame["type"] == "session.update":
            count += 1
            frame["event_id"] = f"update_{count}"
        elif frame["type"] == "session.updated":
            param = "session.instructions"
            draft.frames[number] = _error(f"update_{count}", param)


def _refuse_field(draft: _Draft) -> None:
    """Confirm an update, but keep another value of one of its fields."""
    for frame in draft.received("session.updated"):
        frame["session"]["instructions"] = "Be helpful."


# Items that are announced less often.


def _list_in_done(draft: _Draft) -> None:
    """Announce items in ``response.done`` only, if no other item comes before it."""
    outputs, gone = draft.outputs(), [False] * len(draft.frames)
    begun: dict[str, int] = {}
    for number, frame in enumerate(draft.frames):
        response_id = frame.get("response", {}).get("id")
        if frame["type"] == "response.created":
            begun[response_id] = number
        elif frame["type"] == "response.done":
            within = range(begun[response_id], number)
            mine = [_is_output(draft.frames[at], response_id, outputs) for at in within]
            others = (
                draft.frames[at]["type"]
                for at, is_mine in zip(within, mine, strict=True)
                if not is_mine
            )
            if not any(name in _BEGIN_ITEM for name in others):
                gone[within.start : within.stop] = mine
    draft.remove(gone, relink=False)


_BEGIN_ITEM = (
    *(_ADDED, "input_audio_buffer.speech_started", "response.output_item.added"),
    *("input_audio_buffer.timeout_triggered", "response.mcp_call.in_progress"),
)


def _is_output(frame: Frame, response_id: str, outputs: Mapping[str, Frame]) -> bool:
    """Whether a frame shows the output of a response, before ``response.done``."""
    if frame["type"] in (_ADDED, _DONE):
        output = outputs.get(frame["item"]["id"])
        return output is not None and output["response_id"] == response_id
    is_output = frame["type"].startswith(_OUTPUT)
    return is_output and frame.get("response_id") == response_id


_ANNOUNCE = (_ADDED, _DONE, "response.output_item.", "response.content_part.")


def _announce_nothing(draft: _Draft) -> None:
    """Show messages and calls by their deltas and final texts only."""
    outputs = draft.outputs()
    bare = {
        item_id
        for item_id, frame in outputs.items()
        if frame["item"]["type"] in ("message", "function_call")
    }
    gone = [
        frame["type"].startswith(_ANNOUNCE)
        and ("part" in frame or frame["item"]["id"] in bare)
        and not restores
        for frame, restores in zip(draft.frames, draft.restoring(), strict=True)
    ]
    draft.remove(gone, relink=False)
    for response in draft.responses("response.done"):
        response["output"] = [
            item for item in response["output"] if item["id"] not in bare
        ]


# Ids that are not unique, or not those of the client.


def _share_items(draft: _Draft) -> None:
    """The words and the calls of a response have one item id."""
    first: dict[str, str] = {}
    names: dict[str, str] = {}
    for item_id, frame in draft.outputs().items():
        if frame["item"]["type"] in ("message", "function_call"):
            known = first.setdefault(frame["response_id"], item_id)
            if frame["item"]["type"] == "function_call":
                names[item_id] = known
    draft.rename("item", names)


def _own_items(draft: _Draft) -> None:
    """The service gives the items of the client ids of its own."""
    created, first = draft.created(), dict[str, str]()
    names, count = dict[str, str](), 0
    for frame in draft.frames:
        is_request = frame["type"] == _CREATE
        item_id = frame["item"]["id"] if is_request else ""
        for kind, holder, key, value in _ids(frame):
            if kind in ("item", "previous") and value in names:
                holder[key] = names[value]
        if is_request:
            # The client knows the item by its first name.
            frame["item"]["id"] = first.get(item_id, item_id)
            count += 1
            names[item_id] = f"{item_id}_own_{count}"
            if item_id in created:
                first.setdefault(item_id, names[item_id])
    draft.lines = [
        attrs.evolve(line, item_id=first.get(line.item_id, line.item_id))
        for line in draft.lines
    ]


def _item_ids_again(draft: _Draft) -> None:
    created, epochs = draft.created(), draft.epochs()
    scopes: dict[str, object] = {}
    for frame, epoch in zip(draft.frames, epochs, strict=True):
        for kind, _, _, value in _ids(frame):
            if kind == "item" and value not in created:
                scopes.setdefault(value, epoch)
    _reuse(draft, "item", scopes)


def _item_ids_per_response(draft: _Draft) -> None:
    scopes = {key: frame["response_id"] for key, frame in draft.outputs().items()}
    _reuse(draft, "item", scopes)


def _response_ids_again(draft: _Draft) -> None:
    scopes: dict[str, object] = {}
    for frame, epoch in zip(draft.frames, draft.epochs(), strict=True):
        for kind, _, _, value in _ids(frame):
            if kind == "response":
                scopes.setdefault(value, epoch)
    _reuse(draft, "response", scopes)


def _one_response_id(draft: _Draft) -> None:
    names = [response["id"] for response in draft.responses("response.created")]
    _reuse(draft, "response", {name: name for name in names})


def _call_ids_again(draft: _Draft) -> None:
    scopes: dict[str, object] = {}
    for frame, epoch in zip(draft.frames, draft.epochs(), strict=True):
        for kind, _, _, value in _ids(frame):
            if kind == "call":
                scopes.setdefault(value, epoch)
    _reuse(draft, "call", scopes)


def _call_ids_per_response(draft: _Draft) -> None:
    scopes = {
        frame["item"]["call_id"]: frame["response_id"]
        for frame in draft.outputs().values()
        if "call_id" in frame["item"]
    }
    _reuse(draft, "call", scopes)


def _reuse(draft: _Draft, kind: str, scopes: Mapping[str, object]) -> None:
    """Number ids from 1 in each scope, unless two would be in use at the same time."""
    restoring = draft.restoring()
    spans: dict[str, tuple[int, int]] = {}
    for number, frame in enumerate(draft.frames):
        if kind == "item" and restoring[number]:
            continue
        for known, _, _, value in _ids(frame):
            if known == kind:
                spans[value] = (spans.get(value, (number,))[0], number)
    names: dict[str, str] = {}
    counts: dict[object, int] = {}
    used: dict[str, list[str]] = {}
    for key in spans:
        if key not in scopes:
            continue
        counts[scopes[key]] = count = counts.get(scopes[key], 0) + 1
        name = re.sub(r"\d+$", str(count), key)
        # An id that keeps its name, such as one of the client, is unique.
        is_kept = name in spans and name not in scopes
        others = used.get(name, ())
        if is_kept or any(_overlap(spans[key], spans[other]) for other in others):
            name = f"{key}_own"
        used.setdefault(name, []).append(key)
        names[key] = name
    if kind == "item":
        # The client restores the items of two connections under ids of its own.
        draft.remove(
            restores
            and any(
                other != frame["item"]["id"] and spans[other][0] < number
                for other in used.get(names.get(frame["item"]["id"], ""), ())
            )
            for number, (frame, restores) in enumerate(
                zip(draft.frames, restoring, strict=True)
            )
        )
    draft.rename(kind, names)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


# Fields that are missing.


def _no_response_ids(draft: _Draft) -> None:
    asides = draft.asides()
    said = {
        item_id
        for item_id, frame in draft.outputs().items()
        if frame["response_id"] in asides
    }
    draft.forget(asides | said)
    draft.remove(
        frame["type"] == "response.create" and "response" in frame
        for frame in draft.frames
    )
    for frame in draft.received(""):
        frame.pop("response_id", None)
        frame.get("response", {}).pop("id", None)


def _no_call_ids(draft: _Draft) -> None:
    """Calls have no id, so the client cannot run them: no output can name them."""
    items: dict[str, set[str]] = {}
    for frame in draft.received("response.output_item.done", "response.done"):
        for item in _items(frame):
            if item["type"] == "function_call":
                key = item.get("id") or item["call_id"]
                items.setdefault(key, set()).add(item["call_id"])
    gone = {call for calls in items.values() for call in calls if len(calls) == 1}
    for frame in draft.received("response.", "conversation.item."):
        for holder in (frame, *_items(frame)):
            is_output = holder.get("type") == "function_call_output"
            if not is_output and holder.get("call_id") in gone:
                del holder["call_id"]
    # Only outputs and tools still name these calls.
    draft.forget(gone)


def _items(frame: Frame) -> Iterator[Frame]:
    if "item" in frame:
        yield frame["item"]
    yield from frame.get("response", {}).get("output", ())


def _no_output_ids(draft: _Draft) -> None:
    """``response.done`` does not have the ids of its items."""
    shown, later = set[str](), set[str]()
    outputs = set[str]()
    restoring = draft.restoring()
    for frame, restores in zip(draft.frames, restoring, strict=True):
        if frame["type"] == "response.done":
            outputs |= {item["id"] for item in frame["response"]["output"]}
        elif not restores and direction(frame) == "in":
            for kind, _, _, value in _ids(frame):
                if kind == "item":
                    (later if value in outputs else shown).add(value)
    kept = {item_id for item_id in later - shown}
    hidden = outputs - shown - kept
    for response in draft.responses("response.done"):
        for item in response["output"]:
            if item["id"] not in kept:
                item.pop("id")
    draft.remove([_is_about(frame, hidden) for frame in draft.frames])
    for frame in draft.frames:
        if frame.get("previous_item_id") in hidden:
            del frame["previous_item_id"]


def _null_predecessors(draft: _Draft) -> None:
    for frame in draft.received(""):
        if "previous_item_id" in frame:
            frame["previous_item_id"] = None


def _no_predecessors(draft: _Draft) -> None:
    for frame in draft.received(""):
        frame.pop("previous_item_id", None)


def _no_conversation(draft: _Draft) -> None:
    for frame in draft.received("response."):
        frame.get("response", {}).pop("conversation_id", None)


def _usage_without(*names: str) -> Callable[[_Draft], None]:
    def remove(draft: _Draft) -> None:
        for response in draft.responses("response.done"):
            for place in _nested(response.get("usage")):
                for name in names:
                    place.pop(name, None)

    return remove


def _nested(value: Any) -> Iterator[Frame]:
    if isinstance(value, dict):
        frame = cast(Frame, value)
        yield frame
        for inner in (*frame.values(),):
            yield from _nested(inner)


def _no_usage(draft: _Draft) -> None:
    for response in draft.responses("response.done"):
        response.pop("usage")


# Texts and names in other forms.


def _growing_indexes(draft: _Draft) -> None:
    """Each partial transcription is the whole text so far, in a part of its own."""
    finished = {
        frame["item_id"] for frame in draft.received(f"{_TRANSCRIPTION}.completed")
    }
    texts: dict[str, list[str]] = {}
    for frame in draft.received(f"{_TRANSCRIPTION}.delta"):
        if frame["item_id"] in finished:
            chunks = texts.setdefault(frame["item_id"], [])
            chunks.append(frame["delta"])
            frame["content_index"] = len(chunks) - 1
            frame["delta"] = "".join(chunks)


def _mcp_error_text(draft: _Draft) -> None:
    for frame in draft.received(""):
        for item in _items(frame):
            if isinstance(item.get("error"), dict):
                item["error"] = item["error"]["message"]


def _short_names(draft: _Draft) -> None:
    for frame in draft.received(""):
        name = frame["type"]
        name = (
            name.removeprefix("conversation.item.")
            if "_transcription" in name
            else name
        )
        frame["type"] = name.replace("response.output_audio", "response.audio").replace(
            "response.output_text", "response.text"
        )


#: The habits, in the order in which `with_habits` applies them.
HABITS: Mapping[str, Callable[[_Draft], None]] = {
    "requests_ignored": _ignore_requests,
    "no_echo": _echo_nothing,
    "no_updated": _confirm_no_update,
    "no_truncated": _confirm_no_truncation,
    "output_refused": _refuse_output,
    "item_refused": _refuse_item,
    "update_refused": _refuse_update,
    "field_refused": _refuse_field,
    "listed_in_done": _list_in_done,
    "no_announcements": _announce_nothing,
    "item_ids_shared": _share_items,
    "item_ids_own": _own_items,
    "item_ids_again": _item_ids_again,
    "item_ids_per_response": _item_ids_per_response,
    "call_ids_again": _call_ids_again,
    "call_ids_per_response": _call_ids_per_response,
    "response_ids_again": _response_ids_again,
    "one_response_id": _one_response_id,
    "no_response_ids": _no_response_ids,
    "no_call_ids": _no_call_ids,
    "no_output_ids": _no_output_ids,
    "null_predecessors": _null_predecessors,
    "no_predecessors": _no_predecessors,
    "no_conversation": _no_conversation,
    "no_usage": _no_usage,
    "no_totals": _usage_without("total_tokens"),
    "no_split": _usage_without("input_token_details", "output_token_details"),
    "no_cached_split": _usage_without("cached_tokens_details"),
    "growing_indexes": _growing_indexes,
    "mcp_error_text": _mcp_error_text,
    "short_names": _short_names,
}
