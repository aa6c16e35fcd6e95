"""Doors to the outside world: chain, storage, websocket, wallet."""
