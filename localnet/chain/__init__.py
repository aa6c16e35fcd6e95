"""A local chain with one subnet that serves the unmodified Bittensor SDK."""
