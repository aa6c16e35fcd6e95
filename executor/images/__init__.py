"""Images of jobs: fetched from registries with checks, cached while there is space, removed."""
