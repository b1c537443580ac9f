"""The entry point of the pytest plugin `duologue.adapters.pytest_plugin`.

pytest rewrites the assertions of the top-level modules of a plugin's distribution. If
the distribution has only a namespace package, pytest takes the modules below it and
warns about ``__main__`` on each run. This top-level module prevents the warning.
"""

__all__ = ["pytest_plugins"]

pytest_plugins = ("duologue.adapters.pytest_plugin",)
