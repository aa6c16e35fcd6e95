"""The kind `echo`."""

import subprocess
from pathlib import Path

import validator.synthetic
from compute_horde.hardware import ExecutorClass
from tests.peers.miner import result
from validator.synthetic.kinds.echo_kind import EchoKind, EchoParameters
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor

SCRIPT = Path(validator.synthetic.__file__).parent / "image" / "solve.sh"
UUID = "00000000-0000-0000-0000-000000000001"


async def test_the_text_is_printed_and_compared() -> None:
    kind = EchoKind(EchoParameters(seconds=3))
    executor = DeclaredExecutor("m", ExecutorClass.always_on__test, 0, "own seed")
    (job,) = (await kind.prepare(BatchFacts("s", "v", 1), [executor])).jobs
    assert (job.kind, job.limits.execution) == ("echo", 3)
    command = ["sh", str(SCRIPT), *job.args]
    stdout = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert kind.verify(job, result(UUID, stdout), 1.0).points == 1
    assert kind.verify(job, result(UUID, "own"), 1.0).points == 0
