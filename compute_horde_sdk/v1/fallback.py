"""The public names of the fallback: the same job on a cloud machine, through SkyPilot."""
