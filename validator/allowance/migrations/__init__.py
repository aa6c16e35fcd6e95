"""Schema history of allowance."""
