"""Streaming jobs: certificates of their servers and signed answers."""
