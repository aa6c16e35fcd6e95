"""Schema history of synthetic."""
