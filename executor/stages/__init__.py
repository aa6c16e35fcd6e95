"""The stages of a job, in order: check, download, execute, upload."""
