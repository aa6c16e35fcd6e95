"""A streaming job's way to its user: a relay out of its sandbox, a TLS proxy, a port."""
