"""What a result cannot hold is named all the way to the user, and what can be kept is kept."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.network.running import BUSYBOX, Running

# Together more than an executor sends, and of that more than a facilitator takes.
COUNT, SIZE = 30, 900_000
SCRIPT = f"""
for n in $(seq 10 {9 + COUNT}); do head -c {SIZE} /dev/zero >/artifacts/f$n; done
head -c 1000000 /dev/zero >/artifacts/big
mkdir /artifacts/sub; echo deep >/artifacts/sub/x; echo last >/artifacts/z
seq 300000
"""
PRINTED = "".join(f"{number}\n" for number in range(1, 300_001))


async def command(network: Running, *words: str) -> tuple[int, bytes, str]:
    whom = ["--env-file", str(network.home.env_file)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compute_horde_sdk", words[0], *whom, *words[1:]),
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out, err.decode()


async def test_the_user_is_told_what_is_left_out_and_has_all_the_rest(
    network: Running, tmp_path: Path
) -> None:
    code, out, err = await command(
        network, "run", "-o", f".:{tmp_path}/all", BUSYBOX, "sh", "-c", SCRIPT
    )
    assert code == 3, err
    assert out.decode() == PRINTED
    saved = {path.name: path.stat().st_size for path in (tmp_path / "all").iterdir()}
    assert saved.pop("z") == 5
    assert set(saved.values()) == {SIZE}
    assert 8 <= len(saved) < COUNT
    for word in ("/artifacts/big (1,000,000 bytes)", "/artifacts/sub/ (5 bytes)", "upload"):
        assert word in err

    uuid = next(line.split()[1] for line in err.splitlines() if line.startswith("job "))
    code, out, _ = await command(network, "job", "--json", uuid)
    told = json.loads(out)
    assert (code, told["stdout"], told["truncated"]) == (0, PRINTED, {})
    left_out = {one["name"]: one["size"] for one in told["left_out"]}
    assert left_out["/artifacts/big"] == 1_000_000
    named = {name for name in left_out if name.startswith("/artifacts/f")}
    assert len(named) + len(saved) == COUNT
    assert {left_out[name] for name in named} == {SIZE}
