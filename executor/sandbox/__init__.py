"""The container of a job: its specification, its limits, and the engine that runs it."""
