"""Public names that are allowed to differ from the golden ones, each with the reason.

The key is that of `names.json`: ``module:name`` or ``module:name.member``. An entry
that does not differ (any more) is an error.
"""

from __future__ import annotations

DIFFERENCES: dict[str, str] = {
    "duologue.adapters.audio:Microphone.__enter__": "inherited, so it returns Self",
    "duologue.adapters.audio:Speaker.__enter__": "inherited, so it returns Self",
}
