"""The implementation of one command."""
