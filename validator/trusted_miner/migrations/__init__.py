"""Schema history of what the trusted miner found."""
