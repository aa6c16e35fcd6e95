"""Schema history of weights."""
