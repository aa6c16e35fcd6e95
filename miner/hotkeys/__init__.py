"""The hotkeys of this miner: which is the main one, and what each of them offers."""
