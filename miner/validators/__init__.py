"""Validators: who may speak, who is refused."""
