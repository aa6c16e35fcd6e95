"""What this miner earns and loses, and the minimum price of each class."""
