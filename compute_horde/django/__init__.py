"""Infrastructure shared by the Django services."""
