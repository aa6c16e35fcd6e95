"""The language every ComputeHorde party speaks."""
