"""Protocol, rules and infrastructure shared by all ComputeHorde services."""
