"""All parties together: real processes, sockets, databases, chain and containers."""
