"""Buys compute from miners for users, tests miners, and pays them by weights on the chain."""
