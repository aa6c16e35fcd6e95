"""Computes the weights of miners from the points they earned."""
