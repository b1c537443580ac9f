"""A replay waits for the items that the recorded application had requested."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue.core.log.record import Direction, Record
from duologue.transports.drivers.replay.recorded_requests import RecordedRequests


def create(item_id: str) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": {"id": item_id, "type": "x"}}


def request(item_id: str) -> dict[str, Any]:
    return {"type": "duologue.requested", "event": create(item_id)}


TICK = {"type": "duologue.tick"}
#: Requested on two connections; "c" was never sent.
LOG: list[tuple[int, Direction, dict[str, Any]]] = [
    (0, "local", request("a")),
    (0, "out", create("a")),
    (0, "local", TICK),
    (0, "local", request("b")),
    (0, "local", request("c")),
    (1, "local", TICK),
    (1, "out", create("b")),
    (1, "local", request("d")),
    (1, "out", create("d")),
    (1, "local", TICK),
]
RECORDS = tuple(
    Record.of(json.dumps(event).encode(), seq=n, session="s", dir=dir, epoch=epoch)
    for n, (epoch, dir, event) in enumerate(LOG, start=1)
)


@pytest.mark.parametrize(
    ("epoch", "counts"), [(0, {3: 1, 6: 2, 10: 3}), (1, {3: 0, 6: 0, 10: 1})]
)
def test_a_record_waits_for_the_items_before_it(
    epoch: int, counts: dict[int, int]
) -> None:
    """Those of the replayed connections that were sent; each request is announced."""
    requests, announced = RecordedRequests(RECORDS, epoch), 0

    def announce() -> None:
        nonlocal announced
        announced += 1

    requests.on_request = announce
    for seq, count in counts.items():
        record = RECORDS[seq - 1]
        while announced < count:
            assert not requests.are_made_before(record)
            requests.count()
        assert requests.are_made_before(record)
