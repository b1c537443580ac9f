"""Thin faces over the state: the command line, and a web page later."""
