"""The receipts that this validator issued to miners."""
