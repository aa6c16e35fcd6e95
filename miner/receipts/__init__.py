"""Stores receipts with both signatures and publishes them in pages."""
