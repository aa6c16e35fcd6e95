"""The first step of each formula: from facts to the points of a miner in each class."""
