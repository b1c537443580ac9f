"""The checks of a client's events, with the error messages of the service."""
