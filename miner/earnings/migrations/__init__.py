"""Migrations of earnings."""
