"""The page on security: who can lie to whom, what is bounded, and what became of known weaknesses."""

from collections.abc import Iterator

from docs.tables import NOTE, table
from docs.weaknesses import WEAKNESSES, Weakness

THREATS = f"""{NOTE}
# Security

## Who can lie to whom about what

Nobody here trusts the next one. What is at stake: the user's data and secrets, the miner's machine,
the validator's weights and money, everybody's service.

| who | may lie about | what it gains | what holds it |
| --- | --- | --- | --- |
| user | images, archives, URLs, arguments, names, sizes | the miner's machine and network; other users' work; free work | the sandbox ([sandbox.md](sandbox.md)), limits in bytes and time on everything a job names ([limits.md](limits.md)), addresses checked at each connection, quotas per signer; faults of a job never count against a miner ([whose-fault.md](whose-fault.md)) |
| facilitator | who asks, what is asked, where a result or a stream is | runs jobs at the user's cost, reads secrets, swaps a streaming server | the user's signature covers all that is executed, its target and its nonce; validators take no signature twice; streaming addresses are signed by miner and validator; logins name the facilitator they are for |
| validator | whether a job was paid, whose job it is | free work; another's work | started receipts are checked before anything runs, finished intervals are signed while a job runs; each request is signed; a recorded login opens no second connection |
| miner | what it has, what it did, how a job ended, whose fault it was | pay without work; a user's secrets | what cannot be proven earns nothing beyond intervals already paid; lies about faults gain nothing; artifacts and output are bounded again at each station; secrets of a job are known to its miner, which no protocol can prevent: use short-lived ones |
| executor | what its job did | as its miner | one token, one connection, one job; its words count as the miner's |
| registry, hub, any web server | lengths, redirects, names, encodings | the miner's memory, disk, network | the bounds and address checks of every download, also after each redirect; text of theirs reaches nobody as it is |
| stranger at a port | everything | memory, time, sockets | headers, bodies, frames and connections are bounded before any application code runs; a few hundred connections per address, and shares that strangers cannot take |
| whoever sits between two parties | anything that is not signed | jobs and output in clear on plain websockets | signatures of everything that moves a job; TLS where the operator offers it, always for streaming |

Not defended against: a validator that steals what it passes on, a miner that reads what it runs,
an operator of a machine against itself, and the kernel's and engine's own faults beyond what
[sandbox.md](sandbox.md) says.

## What a process may hold

Each bound is in bytes and for all peers of a process together. Beyond what an idle process has, bodies
and frames make a facilitator, a miner and a validator's listener hold at most 384 MiB, a validator's
web server 256 MiB. Updates that users have not taken from their event streams add at most 192 MiB to a
facilitator, and each stream that waits about 30 KiB: 15 MiB for the 512 of one hotkey, 60 MiB for the
2,048 of all (`python -m benchmarks.waiting_users`). The fuzzer (`python -m benchmarks.fuzz`) watches
that none passes this and that no event loop stands still for 250 ms.
"""

KNOWN = """## The known weaknesses of the published protocol

Those that were found in the published protocol and implementation, and what became of them here.
*Closed between our own* means that published peers leave it open and what is left is said.
"""


def page() -> Iterator[str]:
    """Its lines."""
    yield THREATS
    yield KNOWN
    rows = (_row(weakness) for weakness in WEAKNESSES)
    yield from table(
        "", "weakness", "state", "shown by", "what stays open", "mitigated by", rows=rows
    )


def _row(weakness: Weakness) -> tuple[str, ...]:
    shown = "<br>".join(f"`{test.partition('::')[2]}`" for test in weakness.closed_by)
    number, what = str(weakness.number), weakness.what
    return number, what, weakness.state, shown, weakness.remains, weakness.mitigation
