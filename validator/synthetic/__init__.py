"""Synthetic jobs: one puzzle for every executor that miners offer, once per cycle."""
