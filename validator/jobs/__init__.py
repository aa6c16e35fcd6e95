"""Jobs of users and operators: accepted, given to a miner, and run until they end."""
