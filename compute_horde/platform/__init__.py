"""Calls to the operating system that no standard library wraps."""
