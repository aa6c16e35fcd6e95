"""The options and arguments of the commands, with their --help texts."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from compute_horde_sdk import __version__
from compute_horde_sdk.run import ARTIFACTS_DIR

Words = list[str] | None
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Outputs = Annotated[
    Words,
    typer.Option(
        "-o",
        "--output",
        metavar="REMOTE:LOCAL",
        help="Save a file of the artifacts directory, or all of it (.:LOCAL). Repeatable.",
    ),
]
ArtifactsDir = Annotated[
    str | None,
    typer.Option(help=f"The directory of the job's output files; {ARTIFACTS_DIR} if -o is given."),
]
Image = Annotated[str, typer.Argument(help="Docker image.")]
Args = Annotated[Words, typer.Argument(help="Arguments of the job.")]
Env = Annotated[
    Words,
    typer.Option(
        "-e", "--env", metavar="KEY=VALUE", help="Environment variable of the job. Repeatable."
    ),
]
Inputs = Annotated[
    Words,
    typer.Option(
        "-i",
        "--input",
        metavar="LOCAL:REMOTE",
        help="A small local file or folder, - for stdin, or a URL, and its path below /volume/. "
        "Repeatable.",
    ),
]
Class = Annotated[
    str | None, typer.Option("--class", help="Executor class, for example always_on.llm.a6000.")
]
Namespace = Annotated[str, typer.Option(help="Namespace of the job, for example SN12.0.")]
Trusted = Annotated[bool, typer.Option("--trusted", help="Run on the validator's trusted miner.")]
DownloadLimit = Annotated[int, typer.Option(help="Time limit for image and inputs, in seconds.")]
ExecutionLimit = Annotated[int, typer.Option(help="Time limit for the run, in seconds.")]
UploadLimit = Annotated[
    int,
    typer.Option(help="Time limit for uploads, in seconds; what inputs and run leave is added."),
]


def _checked_wait(seconds: float | None) -> float | None:
    if seconds is not None and not seconds > 0:
        raise typer.BadParameter(
            "it must be a number of seconds that is more than 0; omit it to wait until the job ends"
        )
    return seconds


Timeout = Annotated[
    float | None,
    typer.Option(callback=_checked_wait, help="Seconds to wait here; the job keeps running."),
]
Page = Annotated[int, typer.Option(min=1, help="Which page.")]
Limit = Annotated[int, typer.Option(min=1, max=256, help="Jobs on a page.")]
Uuid = Annotated[str, typer.Argument(help="The job's uuid, as `run` or `jobs` print it.")]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Continue until the job ends.")]
Start = Annotated[
    int, typer.Option("--from", min=0, metavar="CURSOR", help="Skip this number of bytes.")
]
LogFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Append to this file, which may have the beginning."),
]
Wait = Annotated[bool, typer.Option("-w", "--wait", help="Wait until it ends.")]


Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Pass all control sequences of the job's output to the terminal, not only colours.",
    ),
]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The form of an option with two sides, and what is said about wrong ones.

    `meaning` is shown when the right side is missing, `unnamed` when the left one is, and `clash`
    when two options have the same left side.
    """

    form: str
    mark: str
    meaning: str
    unnamed: str
    clash: str


# The user means an upload to a URL; it is refused later with advice.
TO_URL = re.compile(r"^[^:]+:https?://[^:]*(:\d+)?[^:]*$")
PAIRS = {
    "-e": _Pair(
        "KEY=VALUE",
        "=",
        'your own value is not passed on; to pass it, use -e {0}="${0}"',
        "the variable's name is missing, as in -e NAME={0}",
        "both set {0!r}, and a variable has one value; leave one of them out",
    ),
    "-i": _Pair(
        "LOCAL:REMOTE",
        ":",
        "give its path below /volume/, as in -i {0}:NAME",
        "the local file, folder or URL is missing, as in -i ./NAME:{0}",
        "both send {0!r}, and an input goes to one place; send it once, and have the job copy it",
    ),
    "-o": _Pair(
        "REMOTE:LOCAL",
        ":",
        "give its local path, as in -o {0}:./NAME",
        "the name in the artifacts directory is missing, as in -o NAME:{0}, or -o .:{0} for all",
        "both save {0!r}, and an output goes to one place; save it once, and copy it here",
    ),
}


def pairs(words: list[str] | None, option: str) -> dict[str, str]:
    """Parse repeated two-sided options into a dict; colons within a URL do not separate.

    Raises `typer.BadParameter` for a value without both sides or a left side given twice.
    """
    pair = PAIRS[option]
    found: dict[str, str] = {}
    given: dict[str, str] = {}
    for word in words or ():
        first = pair.mark == "=" or bool(TO_URL.search(word))
        left, mark, right = word.partition(pair.mark) if first else word.rpartition(pair.mark)
        if not (mark and left and (right or option == "-e")):
            hint = pair.unnamed if mark and not left else pair.meaning
            meaning = hint.format((right if mark and not left else word).strip(pair.mark))
            raise typer.BadParameter(f"{option} takes {pair.form}, not {word!r}: {meaning}")
        if other := given.get(left):
            why = pair.clash.format(left)
            raise typer.BadParameter(f"{option} {other!r} and {option} {word!r} clash: {why}")
        found[left], given[left] = right, word
    return found


def show_version(wanted: bool) -> None:  # noqa: FBT001 (what Typer calls)
    """Print the version and end."""
    if wanted:
        print(f"compute-horde {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=show_version, help="Print the version."),
]
