"""The chassis the Django services share."""
