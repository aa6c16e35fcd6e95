"""The ComputeHorde SDK; the public names are in `compute_horde_sdk.v1`."""
