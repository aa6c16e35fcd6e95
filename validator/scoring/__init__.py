"""From points to weights."""
