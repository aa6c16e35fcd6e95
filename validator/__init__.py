"""Gives users' jobs to miners, tests miners with puzzles, and pays them by weights on the chain."""
