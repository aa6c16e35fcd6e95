"""Receipts: counter-signed, stored and published."""
