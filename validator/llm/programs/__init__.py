"""The programs of the images llm-prompts and llm-solver, in plain Python."""
