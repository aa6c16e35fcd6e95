"""Connections to miners, with bounds on the messages that wait to be handled."""
