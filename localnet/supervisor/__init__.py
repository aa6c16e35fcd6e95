"""The supervisor: starts the network's processes, restarts them and ends orphaned ones."""
