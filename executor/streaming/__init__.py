"""Connects a streaming job with its user: a relay out of its sandbox, a TLS proxy, a port."""
