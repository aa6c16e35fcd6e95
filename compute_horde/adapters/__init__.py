"""Adapters of external services: chain, websocket, wallet."""
