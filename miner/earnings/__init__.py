"""What this miner earns and loses, and the price floor of each class."""
