"""A service's command line: `python -m <service> <process>`, and the start of each process."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging.config import dictConfig

import django
from django.conf import settings

from compute_horde import configuration, startup
from compute_horde.configuration import Settings
from compute_horde.django import health_check, needs
from compute_horde.django.connection_limits import raise_descriptor_limit
from compute_horde.django.needs import Need

log = logging.getLogger(__name__)

WRONG_USE = 2
# An option of `migrate`: afterwards do what the command `seed` does, in the same process.
SEED = "--seed"
Run = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Process:
    """A long-running process: its needs, and the function that runs it once they are met.

    A process with `has_models` set to False uses Django's settings only, which saves 25 MiB.
    """

    name: str
    run: Run
    needs: tuple[Need, ...]
    settings: str
    has_models: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """The command line `python -m <service>`; without arguments it runs the first process."""

    name: str
    config: Settings
    port: int
    processes: tuple[Process, ...]
    # One-off commands by name; each needs a migrated database.
    chores: Mapping[str, Callable[[list[str]], None]] = field(default_factory=dict)
    # Commands that the service's `__main__` runs itself, before it reads the settings.
    without_settings: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The names of all processes and commands."""
        own = [process.name for process in self.processes]
        return [*own, "migrate", *self.chores, *self.without_settings, "health", "manage"]

    def main(self, arguments: list[str]) -> None:
        """Run the process or command in `arguments`."""
        word, *rest = arguments or [self.processes[0].name]
        startup.name_process(f"{self.name} {word}")
        process = next((one for one in self.processes if one.name == word), None)
        if process and not rest:
            self._start(process)
        elif word == "health" and len(rest) < 2:
            sys.exit(self._health(rest[0] if rest else health_check.first_process_of_container()))
        elif word in ("migrate", "manage", *self.chores):
            self._run_command(word, rest)
        else:
            sys.stderr.write(f"usage: python -m {self.name} {'|'.join(self.words)} …\n")
            sys.exit(WRONG_USE)

    def _start(self, process: Process) -> None:
        unknown = configuration.unknown(type(self.config))
        # Cheap checks first: reading the settings is quick, loading the models takes a second.
        without_models = [need for need in process.needs if not need.with_models]
        needs.check_all([need for need in without_models if not need.with_settings])
        self._configure(process.settings)
        for need in without_models:
            # One by one, so that a missing database is named before the chain's library is loaded.
            if need.with_settings:
                needs.check_all([need])
        if process.has_models:
            django.setup(set_prefix=False)
        needs.check_all([need for need in process.needs if need.with_models])
        for one in unknown:
            fields = {"setting": one.name, "did_you_mean": one.nearest}
            log.warning("not a setting, ignored", extra=fields)
        raise_descriptor_limit()
        process.run()

    def _run_command(self, word: str, rest: list[str]) -> None:
        """Run a one-off command."""
        self._configure(f"{self.name}.settings")
        if word != "manage":
            needs.check_all([needs.database(self.prefix, migrated=word != "migrate")])
        django.setup(set_prefix=False)
        if word in self.chores:
            self.chores[word](rest)
            return
        from django.core.management import execute_from_command_line

        program = f"python -m {self.name}"
        if word == "manage":
            execute_from_command_line([program, *rest])
            return
        options = [option for option in rest if option != SEED]
        execute_from_command_line([program, "migrate", "--no-input", *options])
        if SEED in rest:
            self.chores["seed"]([])

    def _health(self, name: str) -> int:
        """The exit code of a container's health check of the process `name`."""
        process = next((one for one in self.processes if one.name == name), self.processes[0])
        if process.name == "web":
            return health_check.ask(self.port)
        self._configure(process.settings)
        needs.check_all([one for one in process.needs if one.name in health_check.CHEAP])
        return 0

    def _configure(self, module: str) -> None:
        """Make `module` Django's settings and set up logging, without loading the models."""
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", module)  # noqa: TID251 (Django's way)
        dictConfig(settings.LOGGING)

    @property
    def prefix(self) -> str:
        """The prefix of each setting's variable."""
        return f"{self.name.upper()}_"
