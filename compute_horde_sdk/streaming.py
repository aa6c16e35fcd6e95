"""The certificate a user proves himself with to his own streaming job (protocol §8.8)."""

from compute_horde.certificates import Identity, new_identity

__all__ = ["Identity", "new_identity"]
