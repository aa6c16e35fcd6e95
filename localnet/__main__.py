"""`python -m localnet` runs the whole network on this machine."""

from localnet.cli import app

app(prog_name="python -m localnet")
