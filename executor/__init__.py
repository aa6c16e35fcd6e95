"""Runs one job in a container and is gone; talks to its miner only."""
