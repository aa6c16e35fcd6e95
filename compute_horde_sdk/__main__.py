"""`python -m compute_horde_sdk` is the command `compute-horde`."""

from compute_horde_sdk.cli.commands import main

main()
