"""Control probes: which failures of a batch the validator's own side explains."""
