"""Runs a job on a cloud machine through SkyPilot, when the network cannot take it."""
