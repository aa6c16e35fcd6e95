"""Calls an operator method of a local chain: `python -m localnet.chain.operate URL METHOD …`."""

import argparse
import json
import sys
from typing import Any

from compute_horde.errors import ChainError
from localnet.chain.admin import administer
from localnet.chain.rpc import OPERATOR_METHODS

PREFIX = "local_"


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line; each parameter is JSON, or a text if it is none."""
    names = sorted(name.removeprefix(PREFIX) for name in OPERATOR_METHODS)
    documented = "\n".join(f"  {name}: {_summary(name)}" for name in names)
    parser = argparse.ArgumentParser(
        prog="python -m localnet.chain.operate",
        description="Call an operator's method of a local chain.",
        epilog=f"methods:\n{documented}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", help="the chain, such as ws://127.0.0.1:9944")
    parser.add_argument("method", choices=names, metavar="method")
    parser.add_argument("parameters", nargs="*", type=_parameter, help="in their order")
    return parser.parse_args(arguments)


def main() -> int:
    """Print the method's result as JSON; the exit code is 1, after one line, if it is refused."""
    options = parse_options(sys.argv[1:])
    try:
        with administer(options.url) as admin:
            print(json.dumps(admin.call(PREFIX + options.method, *options.parameters)))
    except ChainError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def _summary(name: str) -> str:
    return (OPERATOR_METHODS[PREFIX + name].__doc__ or "").partition("\n")[0]


def _parameter(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
