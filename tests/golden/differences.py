"""Differences from the golden values that are intended, each with the reason.

An entry without a difference is an error.
"""

from __future__ import annotations

_ROPE = "a growing text is a `Rope`, an order of ids an `IdSequence`"
_SLICES = "slices and fields of the state got the field's terms (snapshot version 2)"
#: The type has a new name; the old one is an alias.
_NEW_TYPE_NAME = "a type in the signature has a new name"

_COUNTED = "connections are counted if the log does not: docs/rules.md, Connections"
_CONNECT = "`Reconnect` is the old name of the command `Connect`, which has more fields"
_FACTS = "facts of the lifecycle have more fields, all with defaults"

_WAITS = "a wait for the service ends: docs/rules.md, Waits"
_CHANGES = "a refused change is not restored: docs/rules.md, Connections"

_OVERLAP = "a connection that was replaced answers nothing: docs/rules.md, Connections"

_MONEY = "usage is resolved for each response: docs/rules.md, Usage and cost"

_READER = "the iterator counts lines without a checksum; a log can have a name"

_KIND = "a key of any form can be an ephemeral one"
_CALL_IDS = "a service may use a `call_id` again, or give none: docs/rules.md, Calls"
_REFUSED = "an output that a service refuses is not awaited: docs/rules.md, Calls"
_CONVERSATION = "out-of-band responses of any service: rules.md, Out of band"
_ORDER = "null is the front only if the service names predecessors: rules.md, Order"
_ANSWERS = "one response answers a turn: docs/rules.md, What a reply answers"

#: Fields of the state that snapshots of version 1 do not have, or have otherwise.
NEW_FIELDS: dict[str, str] = {
    "activity.unanswered": "the inputs of the next response",
    "responses.by_id.*.inputs": "the inputs that a response answers",
    "connection.accepted": _CHANGES,
    "connection.changes": _CHANGES,
    "connection.created_ids": _COUNTED,
    "connection.last_accepted": _CHANGES,
    "connection.log_epoch": _COUNTED,
    "connection.updates_in_flight": _WAITS,
    "conversation.asked_places": _ORDER,
    "conversation.names_places": _ORDER,
    "items.*.placement.partial_index": "partial transcripts under growing indexes",
    "conversation.calls.*.call_sent": "a call of a history is not run",
    "conversation.calls.*.others": _CALL_IDS,
    "conversation.calls.*.output_event": _REFUSED,
    "conversation.calls.*.output_refused": _REFUSED,
    "conversation.calls.*.output_sent": "a call whose output was sent is not run again",
    "conversation.deleting": "the deletions that a service has not confirmed",
    "conversation.identity": "ids that a service uses again: docs/rules.md, Identity",
    "conversation.restoring": "the restored items that a service has not answered",
    "conversation.restored": "which items a new connection got, for refused ones",
    "conversation.last_output": "None once a response was requested",
    "dedup.sent.*.call_id": _REFUSED,
    "items.*.call.alias": _CALL_IDS,
    "items.*.placement.tool_at": _WAITS,
    "responses.by_id.*.model": _MONEY,
    "responses.by_id.*.usage": _MONEY,
    "usage.known": _MONEY,
    "usage.incomplete": _MONEY,
    "usage.transcribed": _MONEY,
    "responses.answered": "the request of the active response, until it ended",
    "responses.failed": "why a message has no answer",
    "responses.names_conversation": _CONVERSATION,
    "responses.out_of_band": _CONVERSATION,
    "responses.in_flight_items": "also the outputs that the request is to answer",
    "responses.progress": _WAITS,
    "responses.refused_at": "a request that an unknown response delays",
    "responses.waiting_since": _WAITS,
    "responses.withdrawing": "an interruption withdrew a request",
    "responses.withdrawn": "the messages whose request an interruption withdrew",
}

#: Selectors with other values.
CHANGED: dict[str, str] = {
    "select_is_settled": "false while work is due, true after its time limit",
    "select_cost": "exact, and it says what is missing; the summary has it rounded",
    "missing": "new in the cost: what the sum does not contain",
    "reconnections": "new in the view: why a session reconnected",
}

#: Streams with another state, but the same commands, views and patches.
STATES: dict[str, str] = {
    "test/core/test_requests.py::test_a_response_wished_for[records25-expected25]/0": (
        "a request that an unknown response delays is queued again"
    ),
}

_PARTIALS = "a content index without a part is about the audio: rules.md, Text"
_PLACING = "test/core/test_placing.py::"
_EVERY_FIELD = "test/core/test_every_field.py::test_no_field_of_any_kind_raises"
_HEARD = "event/conversation.item.input_audio_transcription"
_COMPLETED = "ConversationItemInputAudioTranscriptionCompleted"
_INTERRUPTED = "test_an_interrupted_reply_is_told_when_the_connection_is_lost"
_UNANSWERED = "test/core/test_react.py::test_a_user_whom_nobody_answers_by_itself"

#: Streams with other commands, views or patches.
STREAMS: dict[str, str] = {
    **dict.fromkeys(
        (
            "event/all",
            "event/conversation.item.added",
            "event/conversation.item.created",
            "event/conversation.item.done",
            "event/conversation.item.retrieved",
            "event/response.output_item.added",
            "event/response.output_item.done",
            "hostile/17",
            "test/core/test_conversation.py::test_content_indexes_beyond_reason[-1]/0",
            "test/core/test_conversation.py::test_content_indexes_beyond_reason[100"
            "0000000000000000000000000000000000000000000000000000000/0",
            "test/core/test_conversation.py::test_content_indexes_beyond_reason[100"
            "0000000]/0",
            "test/core/test_conversation.py::test_segments_come_first_and_last/1",
            "test/core/test_conversation.py::test_the_same_failure_again_changes_no"
            "_item/0",
            "test/core/test_showing.py::test_an_echo_of_an_epoch_before/0",
            "test/core/test_showing.py::test_its_type_and_role[item1-expected1]/0",
        ),
        "an id that is used again names another item: docs/rules.md, Identity",
    ),
    "test/core/test_responses.py::test_a_call_that_was_interrupted_is_not_complete/0": (
        f"{_CALL_IDS}: the second call is a problem"
    ),
    **dict.fromkeys(
        (
            "hostile/33",
            f"test/core/test_notices.py::{_INTERRUPTED}/0",
            f"{_PLACING}test_in_front_of_a_reply_that_still_waits_for_its_place/0",
            f"{_PLACING}test_where_an_item_stands[frames1-ba]/0",
            f"{_PLACING}test_where_an_item_stands[frames11-au]/0",
            f"{_UNANSWERED}[None]/0",
            f"{_UNANSWERED}[detection1]/0",
            "test/core/test_react.py::test_an_answer_that_the_user_gets_anyway/0",
            "test/core/test_reseeding.py::test_what_is_not_told/0",
        ),
        _ORDER,
    ),
    **dict.fromkeys(
        (
            f"{_HEARD}.completed",
            f"{_HEARD}.delta",
            f"{_HEARD}.failed",
            f"{_EVERY_FIELD}[{_COMPLETED}]/0",
            f"{_EVERY_FIELD}[{_COMPLETED}]/2",
        ),
        _PARTIALS,
    ),
    **dict.fromkeys(
        (
            "hostile/16",
            "hostile/21",
            "hostile/37",
            "test/core/test_requests.py::test_a_response_wished_for[records9-expected9]/0",
            "test/core/test_responses.py::test_an_aside_that_is_known_by_its_end/0",
            "test/core/test_responses.py::test_out_of_band_is_not_in_the_transcript/0",
            "test/core/test_responses.py::test_out_of_band_is_not_in_the_transcript/1",
        ),
        "null is out of band only if the service names conversations: Out of band",
    ),
    **dict.fromkeys(
        (
            *("hostile/18", "hostile/19", "hostile/27", "hostile/28", "hostile/30"),
            *("hostile/34", "hostile/35", "testing/unannounced-rest"),
        ),
        _ANSWERS,
    ),
    **dict.fromkeys(
        (
            "test/core/test_react.py::test_a_quiet_session_goes_over_in_time/0",
            "test/core/test_react.py::test_a_turn_may_begin_while_it_is_carried_out/0",
            "test/core/test_react.py::test_it_waits_for_the_end_of_a_turn/0",
            "test/core/test_react.py::test_it_waits_for_the_end_of_a_turn/1",
            "test/core/test_react.py::test_what_is_heard_is_waited_for[None-told2]/more-0",
            "test/core/test_ticking.py::test_when_time_matters/2",
        ),
        _CONNECT,
    ),
    "test/core/test_react.py::test_nobody_waits_for_ever/0": (
        f"{_WAITS}: an unanswered turn is a problem"
    ),
    **dict.fromkeys(
        ("drawn/20", "drawn/23", "drawn/25", "hostile/10", "hostile/39"),
        "a response that ended and whose audio was heard is not playing",
    ),
    **dict.fromkeys(
        ("test/core/test_react.py::test_a_wish_waits_for_an_answer_to_the_last/0",),
        "a request that an unknown response delays is queued again, and sent later",
    ),
    **dict.fromkeys(
        ("hostile/09", "hostile/11"),
        "a response was requested for the outputs, so it is not requested again",
    ),
    **dict.fromkeys(
        (
            "test/core/test_react.py::test_a_call_that_is_to_be_run_is_waited_for/0",
            "test/core/test_react.py::test_what_is_heard_is_waited_for[1000-told1]/more-0",
            "test/core/test_react.py::test_what_is_heard_is_waited_for[990-told0]/more-0",
        ),
        f"{_WAITS}: an hour later, a call and an audio no longer delay a hand-over",
    ),
    **dict.fromkeys(
        (
            "test/core/test_connection.py::test_an_end_that_nobody_told_of/0",
            "test/core/test_connection.py::"
            "test_nobody_speaks_to_a_connection_that_is_gone/0",
            "test/core/test_connection.py::"
            "test_what_comes_by_the_old_connection_goes_with_it/0",
        ),
        _OVERLAP,
    ),
    **dict.fromkeys(
        (
            "test/core/test_requests.py::test_the_configuration_that_went_out[config0]/0",
            "test/core/test_requests.py::test_the_configuration_that_went_out[config0]/1",
        ),
        "a configuration keeps the fields that are not in the catalogue",
    ),
    **dict.fromkeys(
        (
            "event/all",
            "event/conversation.item.input_audio_transcription.completed",
            "test/core/test_ledger.py::test_what_transcription_took[usages1-expected1]/0",
            "test/core/test_ledger.py::test_what_transcription_took[usages5-expected5]/0",
            "test/core/test_ledger.py::test_what_transcription_took[usages6-expected6]/0",
        ),
        f"{_MONEY}: a transcription is counted once, also for a deleted item",
    ),
    **dict.fromkeys(
        (
            "test/core/test_responses.py::test_no_usage[usage2]/0",
            "testing/sparing-details",
        ),
        f"{_MONEY}: a total that is left out follows from the others",
    ),
    "test/core/test_outputs.py::test_what_comes_after_it_is_lost_heals_nothing/0": (
        f"{_MONEY}: usage that is reported after the connection was lost counts"
    ),
    "test/core/test_responses.py::test_what_names_nothing/0": (
        "a response without an id counts: docs/rules.md, Responses"
    ),
    "test/core/test_ticking.py::"
    "test_an_answer_that_is_waited_for_is_a_matter_of_time/0": (
        f"{_WAITS}: an unanswered turn is a problem"
    ),
}

#: Public names, by the key of `names.json`: ``module:name`` or ``module:name.member``.
DIFFERENCES: dict[str, str] = {
    **dict.fromkeys(
        (
            "duologue.adapters.web:create_app",
            "duologue.transports:Client",
            "duologue.transports:EphemeralKeys",
            "duologue.transports:EphemeralKeys.credentials",
            "duologue.transports:Target",
            "duologue.transports.client:Client",
            "duologue.transports.credentials:EphemeralKeys",
            "duologue.transports.credentials:EphemeralKeys.credentials",
            "duologue.transports.seam:Target",
        ),
        "the provider is an option, and so is where its key comes from",
    ),
    "duologue.transports:Credentials": _KIND,
    "duologue.transports:webrtc": "the label of the data channel is an option",
    "duologue.transports.credentials:Credentials": _KIND,
    "duologue.transports.signalling:Answer": (
        "whether the request contained the configuration"
    ),
    "duologue.core.commands:client_event": "takes the kind of the session, too",
    "duologue.core:Call": _ROPE,
    "duologue.core:Call.arguments": _ROPE,
    "duologue.core:Cost": "says what is missing from the sum",
    "duologue.core:read_log": _READER,
    "duologue.transports:read_log_file": _READER,
    "duologue.transports.logfile:read_log_file": _READER,
    "duologue.core:Item": "its placement names the audio part that was played",
    "duologue.core:Response": _SLICES,
    "duologue.core:Session": _SLICES,
    "duologue.core:Session.ledger": f"{_SLICES}: `usage` and `problems`",
    "duologue.core:Session.tally": f"{_SLICES}: `dedup`",
    "duologue.core:select_dtmf": "the class `Key` of the state is `DtmfKey`",
    "duologue.adapters.audio:Microphone.__enter__": "inherited, so it returns Self",
    "duologue.adapters.audio:Speaker.__enter__": "inherited, so it returns Self",
    "duologue.local:ScriptedMind": "takes rules; Script was not public",
    "duologue.local:load_scenario": "ScriptedMind is an alias now",
    "duologue.local:Engine": "Options is an alias of EngineOptions now",
    "duologue.local:Engine.respond": "the class Reply is ResponseInProgress now",
    "duologue.local:Engine.take_jobs": "an alias of take_effects now",
    "duologue.local:LocalService": "Options is an alias of EngineOptions now",
    "duologue.local:SessionRunner": "Options is an alias of EngineOptions now",
    "duologue.local.memory:memory": "Options is an alias of EngineOptions now",
    "duologue.transports.tools:Toolbox": "`send` may return a value",
    "duologue.transports.client:LiveSession": (
        "only `Client` makes one, from the parts that it shares with the supervisor"
    ),
    "duologue.transports.session:LiveSession": (
        "only `Client` makes one, from the parts that it shares with the supervisor"
    ),
    "duologue.transports.seam:Timed.clock": "a property, which may be None",
    "duologue.transports.seam:Timed.session_id": "a property, which may be None",
    "duologue.transports:LiveSession": (
        "only `Client` makes one, from the parts that it shares with the supervisor"
    ),
    "duologue.local:Parts": _NEW_TYPE_NAME,
    "duologue.local:Parts.detector": _NEW_TYPE_NAME,
    "duologue.local:Parts.ear": _NEW_TYPE_NAME,
    "duologue.local:Parts.far": _NEW_TYPE_NAME,
    "duologue.local:Parts.mind": _NEW_TYPE_NAME,
    "duologue.local:Parts.voice": _NEW_TYPE_NAME,
    "duologue.local:ScriptedMind.reply": _NEW_TYPE_NAME,
    "duologue.local.ports:Ear.listen": _NEW_TYPE_NAME,
    "duologue.local.ports:Mind.reply": _NEW_TYPE_NAME,
    "duologue.core:Reconnect": _CONNECT,
    "duologue.core:Reconnect.reason": _CONNECT,
    "duologue.core.commands:Reconnect": _CONNECT,
    "duologue.core.commands:Reconnect.reason": _CONNECT,
    "duologue.core:Send": "an event with unknown fields is sent as an `Unknown`",
    "duologue.core:Send.event": "an event with unknown fields is sent as an `Unknown`",
    "duologue.core.commands:Send": "as in `duologue.core`",
    "duologue.core.commands:Send.event": "as in `duologue.core`",
    "duologue.core.events:Connected": _FACTS,
    "duologue.core.events:Connecting": _FACTS,
    "duologue.core.events:Disconnected": _FACTS,
    "duologue.core.events:Requested": "a fact of `ask` names the item, too",
    "duologue.transports:Client.start_session": "takes a `history`, too",
    "duologue.transports.client:Client.start_session": "takes a `history`, too",
    **dict.fromkeys(
        (
            "duologue.core.testing:Script",
            "duologue.core.testing:Turn",
            "duologue.core.testing:records",
            "duologue.core.testing:scripts",
        ),
        "more fields and arguments, all with defaults: habits of services",
    ),
}
