"""Schema history of jobs."""
