"""Recorded logs, as ``replay`` and ``export`` read and print them."""
