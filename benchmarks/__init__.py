"""Benchmarks; they compare values measured in one run and are not tests."""
