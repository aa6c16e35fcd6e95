"""The scores of each cycle: stored with the facts they come from, explained and replayed."""
