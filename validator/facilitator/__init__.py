"""The connection to the facilitator: jobs and cancels come in, statuses and output go out."""
