"""Streams and checks for tests of the reducer, and of your code that uses it.

Needs the extra ``testing`` (Hypothesis). A property test in three lines::

    @given(hostile(records()))
    def test_my_page_survives_anything(stream: list[Record]) -> None:
        my_page(fold(stream).sessions)

One line for a reducer, a middleware, any function that takes a session, or a store::

    check_reducer(my_reducer, initial=MyState())
    check_middleware(my_middleware)
    check_render(my_page)
    check_services(my_store)
"""

from __future__ import annotations

try:
    import hypothesis as _hypothesis
except ImportError as error:
    raise ImportError(
        "duologue.core.testing needs Hypothesis: pip install 'duologue[testing]'",
        name="hypothesis",
    ) from error

from duologue.core.reducer.dispatch import fold

from .checks import check_reducer, check_render
from .failure_report import Fault
from .middleware_check import check_middleware
from .mutations import bent, hostile
from .naive_model import Model
from .service_check import check_services
from .service_frames import Service
from .service_habits import with_habits
from .session_script import Line, PlannedAnswer, PlannedCall, Script, Turn, script
from .store_machine import StoreMachine
from .strategies import habits, plans, records, scripts, turns
from .stream import Stream, to_records

__all__ = [
    "Fault",
    "Line",
    "Model",
    "PlannedAnswer",
    "PlannedCall",
    "Script",
    "Service",
    "StoreMachine",
    "Stream",
    "Turn",
    "bent",
    "check_middleware",
    "check_reducer",
    "check_render",
    "check_services",
    "fold",
    "habits",
    "hostile",
    "plans",
    "records",
    "script",
    "scripts",
    "to_records",
    "turns",
    "with_habits",
]

del _hypothesis
