"""Many simulated cycles of weights against a chain that fails, with kills at random points."""
