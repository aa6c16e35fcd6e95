"""The miner: offers executors to validators and relays the messages about their jobs."""
