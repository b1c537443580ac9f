"""Adapters: the command line, the web page, audio devices, the pytest plugin."""
