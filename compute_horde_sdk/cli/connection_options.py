"""The options of every command for facilitator, hotkey and validator."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

import typer

from compute_horde_sdk.cli import stdio
from compute_horde_sdk.cli.rendering import Progress
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.run import make_client, run_sync

T = TypeVar("T")

EnvFile = Annotated[str | None, typer.Option("--env-file", help="File of KEY=VALUE lines.")]
Url = Annotated[str | None, typer.Option("--facilitator-url", help="The facilitator to ask.")]
Hotkey = Annotated[str | None, typer.Option("--hotkey-file", help="Unencrypted hotkey file.")]
Validator = Annotated[
    str | None, typer.Option("--validator-hotkey", help="SS58 address of the validator.")
]


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The connection options as given; None means environment file or environment."""

    env_file: str | None
    facilitator_url: str | None
    hotkey: str | None
    validator_hotkey: str | None

    def call(
        self,
        action: Callable[[ComputeHordeClient], Coroutine[Any, Any, T]],
        progress: Progress | None = None,
    ) -> T:
        """Run `action` with a client for these options and the environment.

        Retries are shown by `progress`, else as lines on stderr.
        """
        client, _ = make_client(**asdict(self))

        async def ask() -> T:
            async with client:
                client.facilitator.on_problem = (
                    progress.problem if progress else stdio.ProblemLines()
                )
                client.facilitator.on_notice = progress.notice if progress else stdio.print_stderr
                return await action(client)

        return run_sync(ask)
