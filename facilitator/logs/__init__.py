"""The output of jobs: taken from validators, stored, streamed to users."""
