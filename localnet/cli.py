"""Runs the whole ComputeHorde network on this machine."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from compute_horde.log_lines import FieldFormatter
from compute_horde.platform.parent_death import die_with_parent
from localnet import demo, network_lifecycle, postgres, shell
from localnet.apt import AptError
from localnet.docker_engine import NoDockerError
from localnet.images import NoImageError
from localnet.network_dir import NetworkDir
from localnet.process_table import Network, UnknownProcessError, processes
from localnet.supervisor import daemon, state_file

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(highlight=False, soft_wrap=True)

NetworkDirOption = Annotated[
    Path, typer.Option("--home", envvar="LOCALNET_HOME", help="The directory of the network.")
]
MinersOption = Annotated[int, typer.Option(min=1, help="The number of miners.")]
TrustedMinerOption = Annotated[
    bool,
    typer.Option("--trusted-miner", help="Start a trusted miner of the validator, too."),
]
OnlyOption = Annotated[
    list[str] | None, typer.Option(help="Start only this process and its dependencies; repeatable.")
]

_COLUMNS = ("process", "pid", "state", "restarts", "uptime", "log")
_START_ERRORS = (
    network_lifecycle.NotUpError,
    UnknownProcessError,
    NoDockerError,
    NoImageError,
    AptError,
)


@app.command()
def up(
    path: NetworkDirOption = shell.DEFAULT_PATH,
    miners: MinersOption = 1,
    only: OnlyOption = None,
    *,
    trusted_miner: TrustedMinerOption = False,
) -> None:
    """Start the network and return when it is ready."""
    network_dir = NetworkDir.at(path)
    try:
        network_lifecycle.up(
            network_dir,
            miners=miners,
            has_trusted_miner=trusted_miner,
            only=only or [],
            on_progress=console.print,
        )
    except _START_ERRORS as error:
        console.print(f"[red]the network did not start:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    console.print(
        f"\nThe network is up.\n"
        f"  addresses and keys  {shell.shown(network_dir.env_file)}\n"
        f"  logs                {shell.shown(network_dir.logs)}\n"
        f"  show its processes  {shell.command(network_dir, 'status')}\n"
        f"  stop it             {shell.command(network_dir, 'down')}",
        markup=False,
    )


@app.command()
def down(path: NetworkDirOption = shell.DEFAULT_PATH) -> None:
    """Stop the network; its data, keys and logs stay."""
    network_dir = NetworkDir.at(path)
    was_running = network_lifecycle.down(network_dir)
    console.print("The network is stopped." if was_running else "The network was not running.")
    if network_dir.env_file.exists():
        paths = [network_dir.path, *filter(None, [postgres.external_data_dir(network_dir)])]
        places = " and ".join(map(shell.shown, paths))
        console.print(f"Its data, keys and logs are kept in {places}.", markup=False)


@app.command()
def status(path: NetworkDirOption = shell.DEFAULT_PATH) -> None:
    """Show every process; the exit code is 1 when the network is not up."""
    network_dir = NetworkDir.at(path)
    is_up = state_file.supervisor(network_dir) is not None
    rows = [_COLUMNS, *(_row(entry, is_up=is_up) for entry in state_file.read(network_dir))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print("  ".join(padded).rstrip(), markup=False)
    if not is_up:
        console.print("The network is not up.")
        raise typer.Exit(1)


def _row(entry: state_file.ProcessEntry, *, is_up: bool) -> tuple[str, ...]:
    if not is_up:
        return (entry.name, "", "stopped", str(entry.restarts), "", entry.log)
    uptime = "" if entry.uptime_seconds is None else f"{entry.uptime_seconds:.0f} s"
    state = f"{entry.state} ({entry.detail})" if entry.detail else entry.state
    return (entry.name, str(entry.pid or ""), state, str(entry.restarts), uptime, entry.log)


@app.command()
def env(path: NetworkDirOption = shell.DEFAULT_PATH) -> None:
    """Print the addresses and keys of the network as KEY=VALUE lines."""
    network_dir = NetworkDir.at(path)
    if not network_dir.env_file.exists():
        console.print(
            f"There has been no network in {shell.shown(network_dir.path)}.", markup=False
        )
        raise typer.Exit(1)
    typer.echo(network_dir.env_file.read_text(), nl=False)


@app.command(name="demo")
def show_demo(path: NetworkDirOption = shell.DEFAULT_PATH) -> None:
    """Start the network, run one job on it, show the result, stop the network."""
    try:
        code = demo.run(NetworkDir.at(path), console)
    except _START_ERRORS as error:
        console.print(f"[red]the demo did not start:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    raise typer.Exit(code)


@app.command(hidden=True)
def supervise(
    path: NetworkDirOption,
    report: Annotated[int, typer.Option()],
    miners: MinersOption = 1,
    only: OnlyOption = None,
    *,
    trusted_miner: TrustedMinerOption = False,
    has_own_docker: Annotated[bool, typer.Option("--own-docker")] = False,
    attached: Annotated[bool, typer.Option("--attached")] = False,
) -> None:
    """Supervise the processes of the network; `up` starts this command."""
    output = logging.StreamHandler()
    output.setFormatter(FieldFormatter())
    logging.basicConfig(handlers=[output], level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    network_dir = NetworkDir.at(path)
    daemon.claim(network_dir)
    if attached:
        die_with_parent(os.getppid())
    network = Network(network_dir, miners, has_own_docker, trusted_miner)
    table = processes(network, only or [])
    with os.fdopen(report, "w") as pipe:
        asyncio.run(daemon.supervise(network_dir, table, pipe))
