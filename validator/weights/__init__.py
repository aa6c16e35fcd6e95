"""Weights on the chain, once per cycle."""
