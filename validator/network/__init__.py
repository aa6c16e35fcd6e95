"""The subnet: its neurons, and the executors that its miners offer."""
