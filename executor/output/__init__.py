"""The output of a job: streamed while it runs, and collected with bounds for the result."""
