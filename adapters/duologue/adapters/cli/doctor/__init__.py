"""The checks of ``duologue doctor``."""
