"""The promises of payment this validator issued."""
