"""Where pytest finds the plugin `duologue.adapters.pytest_plugin`.

A module at the top, because pytest looks there for what it may rewrite: of a
distribution that has only a namespace it takes the names below that, and so warned of
``__main__`` on each run.
"""

__all__ = ["pytest_plugins"]

pytest_plugins = ("duologue.adapters.pytest_plugin",)
