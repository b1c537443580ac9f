"""The sessions of an application: registry, calls, history and limits."""
