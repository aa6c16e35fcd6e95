"""Migrations of the main hotkeys."""
