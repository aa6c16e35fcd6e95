"""The options of every command that say whom to ask, and as whom."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

import typer

from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.run import alone, connected

T = TypeVar("T")

EnvFile = Annotated[str | None, typer.Option("--env-file", help="File of KEY=VALUE lines.")]
Url = Annotated[str | None, typer.Option("--facilitator-url", help="The facilitator to ask.")]
Hotkey = Annotated[str | None, typer.Option("--hotkey-file", help="Unencrypted hotkey file.")]
Validator = Annotated[
    str | None, typer.Option("--validator-hotkey", help="SS58 address of the validator.")
]


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom to ask, and as whom, as far as the options say."""

    env_file: str | None
    facilitator_url: str | None
    hotkey: str | None
    validator_hotkey: str | None

    def asked(self, question: Callable[[ComputeHordeClient], Coroutine[Any, Any, T]]) -> T:
        """The answer of a client for these options and the environment."""
        client, _ = connected(**asdict(self))

        async def ask() -> T:
            async with client:
                return await question(client)

        return alone(ask)
