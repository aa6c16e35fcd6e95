"""Rules for repeating a job on the trusted miner, and for what two results of it prove."""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from compute_horde import volumes
from compute_horde.image_names import is_listed
from compute_horde.protocol.job import JobFinished, JobRequested
from compute_horde.volumes import HuggingfaceVolume, InlineVolume, SimpleVolume

# A user who sets this variable of a job to `1` or `true` declares that equal inputs lead to equal
# output and artifacts.
DETERMINISTIC = "COMPUTE_HORDE_DETERMINISTIC"
EXCERPT_CHARACTERS = 200
MAX_DIFFERENCES = 20
_COMMIT = re.compile(r"[0-9a-f]{40}")


class CheatVerdict(StrEnum):
    """What this validator makes of a claim that a miner's result is false."""

    PROVED = "proved"
    BELIEVED = "believed"
    DISPROVED = "disproved"
    UNPROVED = "unproved"


# With these, the job earns nothing.
COUNTED = frozenset({CheatVerdict.PROVED, CheatVerdict.BELIEVED})


@dataclass(frozen=True, slots=True)
class ResultDifference:
    """A part of the result that is not the same: `stdout` or an artifact.

    `miner` and `trusted` are the SHA-256 of the part in hexadecimal, or `missing`. `where` shows
    the text around the first difference.
    """

    what: str
    miner: str
    trusted: str
    where: str = ""

    def as_json(self) -> dict[str, str]:
        """The fields as a JSON object."""
        return asdict(self)


def is_sampled(job_uuid: str, secret: bytes, share: float) -> bool:
    """Whether this job belongs to the share to repeat; nobody can tell without `secret`."""
    digest = hmac.new(secret, job_uuid.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def reason_not_to_repeat(
    job: JobRequested, images: Collection[str], max_seconds: int
) -> str | None:
    """Why the job is not repeated, or None when it may be.

    Its image is one of `images`, or its user declared it deterministic; its inputs can be had
    again and are the same then; its time limits add up to at most `max_seconds`.
    """
    is_declared = job.env.get(DETERMINISTIC, "").lower() in {"1", "true"}
    if job.on_trusted_miner:
        return "it ran on the trusted miner"
    if job.streaming_details:
        return "it streams"
    if not is_declared and not is_listed(job.docker_image, images):
        return "it is not declared to be deterministic"
    if not all(map(_is_fixed, volumes.simple_volumes(job.volume))):
        return "its inputs may have changed"
    if job.download_time_limit + job.execution_time_limit + job.upload_time_limit > max_seconds:
        return "its time limits are too long"
    return None


def _is_fixed(volume: SimpleVolume) -> bool:
    """Whether a volume is certainly the same at every download."""
    match volume:
        case InlineVolume():
            return True
        case HuggingfaceVolume(revision=str(revision)):
            return bool(_COMMIT.fullmatch(revision))
        case _:
            return False


def repetition(job: JobRequested) -> JobRequested:
    """The same job for the trusted miner; it uploads nothing, since the files are the user's."""
    changes = {"output_upload": None, "signature": None, "binding": None, "on_trusted_miner": True}
    return job.model_copy(update=changes)


def is_same_work(one: JobRequested, other: JobRequested) -> bool:
    """Whether two jobs do the same: image, arguments, environment, inputs, artifacts, class.

    URLs are compared without what follows `?`, since each may be signed for one download.
    """
    return _work(one) == _work(other)


def _work(job: JobRequested) -> tuple[Any, ...]:
    inputs = [_without_signature(one) for one in volumes.simple_volumes(job.volume)]
    return (
        job.executor_class,
        job.docker_image,
        job.args,
        job.env,
        job.use_gpu,
        job.artifacts_dir or "",
        inputs,
    )


def _without_signature(volume: SimpleVolume) -> dict[str, Any]:
    fields = volume.model_dump(mode="json", exclude={"token"})
    for name in ("url", "contents"):
        if name in fields and not isinstance(volume, InlineVolume):
            fields[name] = fields[name].partition("?")[0]
    return fields


def differences(miner: JobFinished, trusted: JobFinished) -> list[ResultDifference]:
    """Where the results of a miner and the trusted miner differ, at most `MAX_DIFFERENCES`.

    What is written to stderr is not compared: it is where programs tell times and progress.
    Artifacts that did not fit into the trusted miner's result are not compared either; those that
    only the miner left out are `unsent`.
    """
    found: list[ResultDifference] = []
    ours, theirs = _stdout(miner), _stdout(trusted)
    if ours != theirs:
        found.append(
            ResultDifference("stdout", _digest(ours), _digest(theirs), _excerpt(ours, theirs))
        )
    found += _artifact_differences(miner, trusted)
    return found[:MAX_DIFFERENCES]


def _artifact_differences(miner: JobFinished, trusted: JobFinished) -> Iterator[ResultDifference]:
    ours, theirs = miner.artifacts or {}, trusted.artifacts or {}
    not_ours, not_theirs = _left_out(miner), _left_out(trusted)
    for path in sorted({*ours, *theirs}):
        if path not in ours and (_is_among(path, not_ours) or _is_among(path, not_theirs)):
            continue
        if path not in theirs and _is_among(path, not_theirs):
            continue
        if ours.get(path) != theirs.get(path):
            yield ResultDifference(f"artifact {path}", _of(ours, path), _of(theirs, path))


def unsent(miner: JobFinished, trusted: JobFinished) -> list[str]:
    """The artifacts that only the miner left out, as it says: they prove nothing either way."""
    not_ours, not_theirs = _left_out(miner), _left_out(trusted)
    missing = sorted((trusted.artifacts or {}).keys() - (miner.artifacts or {}).keys())
    return [
        path for path in missing if _is_among(path, not_ours) and not _is_among(path, not_theirs)
    ]


def _left_out(result: JobFinished) -> set[str]:
    return {one.name for one in result.left_out}


def _is_among(path: str, left_out: Collection[str]) -> bool:
    """An entry without a name stands for files that are not listed one by one."""
    return any(
        path == name or not name or (name.endswith("/") and path.startswith(name))
        for name in left_out
    )


def _of(artifacts: Mapping[str, str], path: str) -> str:
    return _digest(artifacts[path]) if path in artifacts else "missing"


def _stdout(result: JobFinished) -> str:
    """What was printed; in base64 where it is no text."""
    return result.raw_output.get("stdout", result.docker_process_stdout)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _excerpt(ours: str, theirs: str) -> str:
    """Both texts from shortly before the first character that differs."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    start = max(at - EXCERPT_CHARACTERS // 4, 0)
    shown = [text[start : start + EXCERPT_CHARACTERS] for text in (ours, theirs)]
    return f"at character {at}: the miner has {shown[0]!r}, the trusted miner {shown[1]!r}"


def verdict_on_report(
    differing: Collection[ResultDifference], unsent: Collection[str], *, has_uploads: bool
) -> CheatVerdict:
    """What a user's report proves, from the results of its job and its trusted job.

    What a job uploads is seen by its user only, who is believed in that. One difference proves
    nothing: it may come from the machine or the time.
    """
    if has_uploads:
        return CheatVerdict.BELIEVED
    return CheatVerdict.UNPROVED if differing or unsent else CheatVerdict.DISPROVED
