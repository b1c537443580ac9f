"""Selectors: memoised functions of one session."""
