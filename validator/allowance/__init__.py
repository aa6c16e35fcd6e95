"""Pays for users' jobs with this validator's block allowance."""
