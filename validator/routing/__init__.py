"""Chooses the miner for a job, and holds the queue of jobs that wait for one."""
