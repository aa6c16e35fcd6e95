"""Schema history of network."""
