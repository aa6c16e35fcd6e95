"""Schema history of receipts."""
