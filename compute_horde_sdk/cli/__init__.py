"""The command `compute-horde`."""
