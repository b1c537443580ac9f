"""The sessions of the page: registry, history and subscribers."""
