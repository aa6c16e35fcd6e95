"""Cancellation, memory limits and batched writes for asyncio programs."""
