"""Requests of the application: responses, configuration changes, sent items."""

from __future__ import annotations

from . import answers, configuration, in_flight, sent_events

__all__ = ["TABLE"]

TABLE = {
    **in_flight.TABLE,
    **configuration.TABLE,
    **sent_events.TABLE,
    **answers.TABLE,
}
