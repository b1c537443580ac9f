"""The HTTP server of the page: application, routes, feed and request guard."""
