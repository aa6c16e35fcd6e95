"""Starts executors in advance, reserves them for jobs, and cleans up after them."""
