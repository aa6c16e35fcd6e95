"""The page of every limit that a user's job may meet, from the code."""

from collections.abc import Iterable, Iterator

from compute_horde.frames import MAX_VALUES
from compute_horde.protocol import left_out, truncation
from compute_horde.protocol.message import FACILITATOR_FRAME_BYTES, REPORT_FRAME_BYTES
from compute_horde.uploads import MAX_UPLOADS
from compute_horde_sdk import full_output, input_output_files
from docs.tables import NOTE, table
from executor.config import Config
from executor.output import artifacts
from executor.stages import output_uploads
from executor.transfer import archives, upload_headers
from executor.transfer.huggingface.request import MOST_PATTERNS
from facilitator.jobs import status_feed
from facilitator.logs.segments import DEFAULT_LOG_BYTES

INTRODUCTION = f"""{NOTE}
# What a job may take along, print and leave

What is over a limit is named: a refusal when the job is sent, the job's failure, or, where the
rest of the result is kept, in its `left_out` and `truncated`. Memory, disk and processes of a class
are in [miner-settings.md](miner-settings.md); a miner's operator may set what has the name of a
setting.
"""

Row = tuple[str, str, str]


def page() -> Iterator[str]:
    """The lines of limits.md."""
    yield INTRODUCTION
    for title, rows in (
        ("Inputs", _inputs()),
        ("Output", _output()),
        ("Artifacts", _artifacts()),
        ("Uploads", _uploads()),
        ("Waiting", _waiting()),
    ):
        yield f"## {title}\n"
        yield from table("what", "most", "what happens above it", rows=rows)


def _inputs() -> Iterable[Row]:
    config = Config.model_fields
    unpacked = "half of the disk of the class (`EXECUTOR_UNPACKED_MAX_BYTES`)"
    return (
        ("the job with its inline inputs", _bytes(FACILITATOR_FRAME_BYTES), "refused when sent"),
        ("values in the job", f"{MAX_VALUES:,}", "refused when sent"),
        (
            "local files that the SDK packs",
            f"{_bytes(input_output_files.MAX_INLINE_CHARS)} as base64",
            "refused by the SDK, which names the largest",
        ),
        (
            "a file or zip behind a URL",
            f"{_bytes(config['volume_max_bytes'].default)} (`EXECUTOR_VOLUME_MAX_BYTES`)",
            "download fails",
        ),
        ("all inputs, unpacked", unpacked, "download fails"),
        ("entries of all archives", f"{archives.MAX_ENTRIES:,}", "download fails"),
        ("folders within each other in an archive", f"{archives.MAX_DEPTH}", "download fails"),
        ("`allow_patterns` of a repository", f"{MOST_PATTERNS:,}", "download fails"),
    )


def _output() -> Iterable[Row]:
    kept = Config.model_fields["log_max_bytes"].default
    return (
        (
            "stdout, and stderr, in the result",
            f"{truncation.SHOWN_CHARACTERS:,} characters",
            "the middle is left out, `truncated` has the number of bytes; the SDK fetches the "
            f"whole from the log, up to {full_output.MAX_CHARACTERS:,} characters",
        ),
        (
            "bytes on stdout, and on stderr, that are no UTF-8",
            f"{truncation.RAW_BYTES:,} bytes",
            "replacement characters stand for them, `truncated` has the number of bytes; the "
            "command says so, and ends with 3 when its stdout is no terminal",
        ),
        (
            "the log, which is kept while the job prints",
            f"{_bytes(DEFAULT_LOG_BYTES)} (the facilitator's setting)",
            "the rest is not kept, and the log says so",
        ),
        (
            "`stdout.txt`, and `stderr.txt`, in an output upload",
            f"{_bytes(kept)} (`EXECUTOR_LOG_MAX_BYTES`)",
            "the middle is left out, and the file says so",
        ),
    )


def _artifacts() -> Iterable[Row]:
    return (
        ("one file", _bytes(artifacts.LIMIT_BYTES - 1), "left out, named in `left_out`"),
        ("where", "directly in the artifacts directory", "folders are left out and named"),
        (
            "all together, as base64",
            _bytes(artifacts.TOTAL_CHARS),
            "in the order of names, each that fits is kept; the others are named",
        ),
        (
            "result with output and answers to uploads, as JSON",
            _bytes(REPORT_FRAME_BYTES),
            "as above",
        ),
        ("files looked at", f"{artifacts.MAX_ENTRIES:,}", "the others are left out"),
        (
            "entries of `left_out`",
            f"{left_out.MAX_LISTED}",
            "one more entry stands for all others",
        ),
    )


def _uploads() -> Iterable[Row]:
    most = Config.model_fields["upload_max_bytes"].default
    return (
        ("uploads of a job", f"{MAX_UPLOADS:,}", "refused when sent"),
        ("one upload", f"{_bytes(most)} (`EXECUTOR_UPLOAD_MAX_BYTES`)", "upload fails"),
        ("files in the zip of the output", f"{archives.MAX_ZIPPED_FILES:,}", "upload fails"),
        ("folders within each other there", f"{archives.MAX_ZIPPED_DEPTH}", "upload fails"),
        ("signed headers of an upload", f"{upload_headers.MOST}", "upload fails"),
        (
            "what the servers answered, all together",
            _bytes(output_uploads.MAX_RESULTS_BYTES),
            "the upload counts, the answer is cut",
        ),
    )


def _waiting() -> Iterable[Row]:
    of_hotkey, of_all = status_feed.UNSENT_BYTES_OF_HOTKEY, status_feed.UNSENT_BYTES
    refused = "refused with the time after which to try again; until then the SDK polls"
    ended = "the stream with most of it ends; the SDK fetches the job instead"
    return (
        (
            "users of one hotkey that wait by event stream",
            f"{status_feed.FEEDS_OF_HOTKEY} (`FACILITATOR_MAX_STREAMS`)",
            refused,
        ),
        (
            "event streams of all users",
            "half of `FACILITATOR_MAX_CONNECTIONS`",
            "the newest one of the hotkey with most ends for one with fewer, or as above",
        ),
        (
            "updates that users of one hotkey have not taken",
            _bytes(of_hotkey),
            ended,
        ),
        ("updates that all users have not taken", _bytes(of_all), ended),
    )


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count % size == 0:
            return f"{count // size:,} {unit}"
    return f"{count:,} bytes"
