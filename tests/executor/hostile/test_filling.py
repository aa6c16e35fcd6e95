"""Jobs that fill memory, disk or files are stopped by a limit, which is named."""

import pytest

from compute_horde.protocol.job import JobFailed, JobFinished
from compute_horde.vocabulary import FailureReason
from executor.config import GIB, MIB

pytestmark = pytest.mark.docker

DISK = 12 * MIB
# Long enough to be looked at, and far from the end of the job's time.
HOLD = "sleep 60"
ZEROS = f"head -c {8 * MIB} /dev/zero"


async def fill(cell, image, lines, **settings):
    """Why each of these jobs failed; none ran until its time limit."""
    trials = await cell.endures_all(image, lines, settings=settings, artifacts_dir="/a")
    assert {trial.kind for trial in trials.values()} == {JobFailed}
    assert FailureReason.TIMEOUT not in {trial.answer.reason for trial in trials.values()}
    return {name: trial.message for name, trial in trials.items()}


def without(words, messages):
    """The jobs whose failure does not contain `words`."""
    return {name: text for name, text in messages.items() if words not in text}


async def test_memory_is_bounded_wherever_it_is_taken(cell, nobody):
    limits = {"memory_bytes": 64 * MIB, "tmp_bytes": GIB, "shm_bytes": GIB}
    lines = {
        "anonymous": "awk 'BEGIN { s = \"x\"; while (1) s = s s }'",
        "files in /tmp": "head -c 200m /dev/zero >/tmp/x",
        "shared memory": "head -c 200m /dev/zero >/dev/shm/x",
        "many processes": "for i in 1 2 3 4; do head -c 50m /dev/zero | tail -c 50m & done; wait",
        "a deleted file": "exec 3>/tmp/x; rm /tmp/x; head -c 200m /dev/zero >&3",
    }
    lines["many processes"] += "; exit 1"
    messages = await fill(cell, nobody, lines, **limits)
    assert without(f"its memory limit was {64 * MIB} bytes", messages) == {}


async def test_scratch_space_is_bounded(cell, as_root):
    lines = {path: f"dd if=/dev/zero of={path}/x" for path in ("/tmp", "/run", "/dev/shm")}
    messages = await fill(cell, as_root, lines, tmp_bytes=4 * MIB, shm_bytes=3 * MIB)
    words = f"its scratch space was {4 * MIB} bytes, its /dev/shm {3 * MIB}"
    assert without(words, messages) == {}


@pytest.mark.parametrize("image", ["nobody", "as_root"])
async def test_a_disk_is_bounded_in_every_folder(cell, request, image):
    lines = {
        path: f"{ZEROS} >{path}/x; mkdir {path}/y; {ZEROS} >{path}/y/z; {HOLD}"
        for path in ("/output", "/volume", "/specs", "/a")
    }
    messages = await fill(cell, request.getfixturevalue(image), lines, disk_max_bytes=DISK)
    assert without(f"more than {DISK} bytes of disk", messages) == {}


async def test_a_file_is_bounded_however_it_is_written(cell, nobody):
    lines = {
        "at once": "exec head -c 50m /dev/zero >/output/x",
        "with a hole": "truncate -s 100G /output/x",
        "at its end": "dd if=/dev/zero of=/output/x bs=1 count=1 seek=100G",
        "reserved": "fallocate -l 1G /output/x",
    }
    messages = await fill(cell, nobody, lines, disk_max_bytes=DISK)
    # The watch may be quicker, or find the disk full at the end.
    assert f"{DISK} bytes" in messages.pop("at once")
    assert without(f"no file may be larger than {DISK} bytes", messages) == {}


async def test_holes_take_no_disk(cell, nobody):
    line = "for i in 1 2 3 4; do truncate -s 10M /output/$i; done; sleep 2.5"
    trial = await cell.endures(nobody, line, settings={"disk_max_bytes": DISK})
    assert trial.kind is JobFinished


async def test_another_name_of_a_file_takes_no_disk(cell, nobody):
    line = f"{ZEROS} >/output/x; for i in 1 2 3 4; do ln /output/x /output/$i; done; sleep 2.5"
    trial = await cell.endures(nobody, line, settings={"disk_max_bytes": DISK})
    assert trial.kind is JobFinished


async def test_deleted_files_are_disk_as_long_as_they_are_held(cell, nobody, sighted):
    held = f"exec 3>/output/x 4>/volume/y; rm /output/x /volume/y; {ZEROS} >&3; {ZEROS} >&4"
    copy = f"(cat /bin/busybox; {ZEROS}) >/output/x && chmod 755 /output/x"
    names = "cp -p /output/x /volume/x; cd /output; ln -s x sleep; "
    names += "ln -s /volume/x /specs/sleep"
    lines = {
        "open": f"{held}; {HOLD}",
        "open in another process": f"({held}; {HOLD}) & exec 3>&- 4>&-; {HOLD}",
        "open in a process of its own session": f"setsid sh -c '{held}; {HOLD}' & {HOLD}",
        "only run": f"{copy}; {names}; /output/sleep 60 & /specs/sleep 60 & "
        "sleep 0.5; rm /output/x /volume/x; wait",
    }
    messages = await fill(cell, nobody, lines, disk_max_bytes=DISK)
    assert without(f"more than {DISK} bytes of disk", messages) == {}
    assert without("in deleted files it held open", messages) == {}


async def test_deleted_files_of_a_writable_root_are_disk_too(cell, writable, sighted):
    lines = {
        "deleted": f"exec 3>/x 4>/y; rm /x /y; {ZEROS} >&3; {ZEROS} >&4; {HOLD}",
        "shown": f"{ZEROS} >/x; {ZEROS} >/y; {HOLD}",
    }
    messages = await fill(cell, writable, lines, disk_max_bytes=DISK)
    assert without(f"more than {DISK} bytes of disk", messages) == {}


async def test_deleted_files_in_memory_are_no_disk(cell, nobody):
    line = f"exec 3>/tmp/x 4>/dev/shm/y; rm /tmp/x /dev/shm/y; {ZEROS} >&3; {ZEROS} >&4; sleep 2.5"
    trial = await cell.endures(nobody, line, settings={"disk_max_bytes": DISK})
    assert trial.kind is JobFinished


async def test_the_number_of_files_is_bounded(cell, nobody, writable):
    many = "seq 500 | xargs touch"
    deep = "i=0; while mkdir x && cd x; do i=$((i+1)); [ $i -gt 400 ] && break; done"
    lines = {
        "flat": f"cd /output; {many}; {HOLD}",
        "deep": f"cd /output; {deep}; {HOLD}",
        "everywhere": "for i in /output /volume /specs /a; do "
        f"cd $i; seq 80 | xargs touch; done; {HOLD}",
    }
    words = "made more than 300 files"
    assert without(words, await fill(cell, nobody, lines, disk_max_files=300)) == {}
    on_root = {"root": f"mkdir /many; cd /many; {many}; {HOLD}"}
    assert without(words, await fill(cell, writable, on_root, disk_max_files=300)) == {}


async def test_the_number_of_open_files_is_bounded(cell, nobody, sighted):
    opens = "for i in $(seq 60); do (exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3; sleep 60) & done"
    messages = await fill(cell, nobody, {"open": f"{opens}; {HOLD}"}, disk_max_files=300)
    assert messages == {"open": "Job container held more than 300 files open"}
