"""Fuzzing of every HTTP server and websocket of a running network."""
