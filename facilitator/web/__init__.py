"""HTTP: request limits, deadlines and errors of the API."""
