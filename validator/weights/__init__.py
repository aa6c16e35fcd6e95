"""Sets the weights of miners on the chain, once per cycle."""
