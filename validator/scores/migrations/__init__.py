"""Schema history of scores."""
