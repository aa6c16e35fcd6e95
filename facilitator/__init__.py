"""The gateway: HTTP API for users, websocket for validators, accounts."""
