"""The executor: a process that runs one job in a container, connected to its miner only."""
