"""Jobs of users and operators: taken, given to a miner, followed to their end."""
