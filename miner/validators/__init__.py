"""Which validators are accepted, and how they log in."""
