"""Executors: started ahead, reserved, watched and cleaned up after."""
