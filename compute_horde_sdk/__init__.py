"""The ComputeHorde SDK; the public names are in `compute_horde_sdk.v1`."""

# The same as in pyproject.toml; a test compares them.
__version__ = "0.1.0"
