"""The HTTP API for users (protocol §3) and the index page."""
