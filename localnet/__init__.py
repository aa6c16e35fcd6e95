"""The whole network on one machine, from wheels and our own supervisor."""
