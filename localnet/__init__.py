"""Runs the whole network on one machine: servers from wheels, under a supervisor of its own."""
