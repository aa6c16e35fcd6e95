"""The messages of the protocol; `links` lists which party may send which message to which."""
