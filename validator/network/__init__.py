"""Which miners there are and what they offer."""
