"""Cases of scoring: files of inputs whose outputs the command `formula` computes."""
