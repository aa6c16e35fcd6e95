"""The miner: offers executors to validators and relays what they say of their jobs."""
