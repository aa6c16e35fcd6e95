"""The commands of `python -m localnet`."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from compute_horde.django.logs import FieldFormatter
from localnet import control, daemon, demo, state
from localnet.apt import AptError
from localnet.docker_engine import NoDockerError
from localnet.home import Home
from localnet.images import NoImageError
from localnet.keeper import die_with_parent
from localnet.network import ROOT, Network, processes

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(highlight=False, soft_wrap=True)

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="LOCALNET_HOME", help="Where this network is kept.")
]
MinersOption = Annotated[int, typer.Option(min=1, help="How many miners.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Only this process and its needs.")]

_HOME = ROOT / ".localnet"
_COLUMNS = ("process", "pid", "state", "restarts", "uptime", "log")
_REFUSALS = (control.NotUpError, NoDockerError, NoImageError, AptError, KeyError)


@app.command()
def up(home: HomeOption = _HOME, miners: MinersOption = 1, only: OnlyOption = None) -> None:
    """Start the network; return when all of it is ready."""
    place = Home.at(home)
    try:
        control.up(place, miners=miners, only=only or [], tell=console.print)
    except _REFUSALS as error:
        console.print(f"[red]not up:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    console.print(
        f"\nup. Addresses and keys: {place.env_file}\n"
        f"logs: {place.logs}\nlook: python -m localnet status; stop: python -m localnet down"
    )


@app.command()
def down(home: HomeOption = _HOME) -> None:
    """Stop the network."""
    console.print("down" if control.down(Home.at(home)) else "nothing was up")


@app.command()
def status(home: HomeOption = _HOME) -> None:
    """Show every process. Exit code 1 when the network is not up."""
    place = Home.at(home)
    is_up = state.supervisor(place) is not None
    rows = [_COLUMNS, *(_row(entry, is_up=is_up) for entry in state.read(place))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print("  ".join(padded).rstrip(), markup=False)
    if not is_up:
        console.print("not up")
        raise typer.Exit(1)


def _row(entry: state.Entry, *, is_up: bool) -> tuple[str, ...]:
    if not is_up:
        return (entry.name, "", "stopped", str(entry.restarts), "", entry.log)
    uptime = "" if entry.uptime_seconds is None else f"{entry.uptime_seconds:.0f} s"
    told = f"{entry.state} ({entry.detail})" if entry.detail else entry.state
    return (entry.name, str(entry.pid or ""), told, str(entry.restarts), uptime, entry.log)


@app.command()
def env(home: HomeOption = _HOME) -> None:
    """Print the addresses and keys of the network as KEY=VALUE lines."""
    place = Home.at(home)
    if not place.env_file.exists():
        console.print("nothing was ever up here")
        raise typer.Exit(1)
    typer.echo(place.env_file.read_text(), nl=False)


@app.command(name="demo")
def show(home: HomeOption = _HOME) -> None:
    """Bring the network up, run one job through it, show what happened, stop."""
    try:
        code = demo.run(Home.at(home), console)
    except _REFUSALS as error:
        console.print(f"[red]no demo:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    raise typer.Exit(code)


@app.command(hidden=True)
def supervise(
    home: HomeOption,
    report: Annotated[int, typer.Option()],
    miners: MinersOption = 1,
    only: OnlyOption = None,
    *,
    own_docker: Annotated[bool, typer.Option("--own-docker")] = False,
    attached: Annotated[bool, typer.Option("--attached")] = False,
) -> None:
    """What `up` leaves running."""
    output = logging.StreamHandler()
    output.setFormatter(FieldFormatter())
    logging.basicConfig(handlers=[output], level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    place = Home.at(home)
    daemon.claim(place)
    if attached:
        die_with_parent(signal.SIGTERM, os.getppid())
    table = processes(Network(place, miners, own_docker), only or [])
    with os.fdopen(report, "w") as pipe:
        asyncio.run(daemon.supervise(place, table, pipe))
