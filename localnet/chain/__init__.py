"""A chain on this machine that the unmodified Bittensor SDK talks to."""
