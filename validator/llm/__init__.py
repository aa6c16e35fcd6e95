"""Benchmark prompts and their answers: made on the trusted miner, kept in buckets, used once."""
