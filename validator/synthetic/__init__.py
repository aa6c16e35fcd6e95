"""Puzzles for every declared executor, once per cycle."""
