"""The shell script that runs a job on a cloud machine, and the parser of its output."""

import base64
import binascii
import json
import re
import shlex
from collections import defaultdict
from pathlib import PurePosixPath

from compute_horde_sdk.fallback.spec import FallbackJobSpec
from compute_horde_sdk.job_result import ComputeHordeJobResult, HttpOutputVolumeResponse
from compute_horde_sdk.volumes import (
    OUTPUT_MOUNT,
    HTTPInputVolume,
    HTTPOutputVolume,
    InlineInputVolume,
    InputVolume,
)

# As on the network; larger files need an output volume.
MAX_ARTIFACT_BYTES = 1_000_000

# SkyPilot returns only a text log, whose lines may have prefixes. So output and files are printed
# in base64, in lines marked `ch64:`.
SHELL_FUNCTIONS = """
emit() {
  base64 | tr -d '\\n' | fold -w 3000 | { cat; echo; } |
    while IFS= read -r piece; do echo "ch64:$1:$piece"; done
}
name() { printf %s "$1" | base64 | tr -d '\\n'; }
"""
SNAPSHOT = (
    "import huggingface_hub, json, sys; "
    "huggingface_hub.snapshot_download(**json.loads(sys.argv[1]))"
)
EMITTED_LINE = re.compile(r"ch64:([a-z]+)(?:/([A-Za-z0-9+/=]*))?:([A-Za-z0-9+/=]*)\s*$")


def setup(spec: FallbackJobSpec) -> str:
    """The setup script: downloads the inputs; any failure fails the job."""
    lines = ["set -e", f"mkdir -p /volume {OUTPUT_MOUNT}"]
    if spec.artifacts_dir:
        lines.append(f"mkdir -p {shlex.quote(spec.artifacts_dir)}")
    for path, volume in (spec.input_volumes or {}).items():
        lines += _fetch(path, volume)
    return "\n".join(lines)


def run(spec: FallbackJobSpec) -> str:
    """The run script: runs the job, prints its output, uploads, and exits with its status."""
    lines = [
        SHELL_FUNCTIONS,
        "cd $(mktemp -d) || exit 1",
        f"( cd {shlex.quote(spec.work_dir)} || exit 1\n{spec.run or 'true'}\n) >stdout 2>stderr",
        "code=$?",
        "emit stdout <stdout",
        "emit stderr <stderr",
    ]
    if spec.artifacts_dir:
        lines.append(
            f"find {shlex.quote(spec.artifacts_dir)} -maxdepth 1 -type f "
            f"-size -{MAX_ARTIFACT_BYTES}c | "
            'while IFS= read -r file; do emit "artifact/$(name "$file")" <"$file"; done'
        )
    uploads = [_send(path, volume) for path, volume in (spec.output_volumes or {}).items()]
    if uploads:
        lines += ["if [ $code = 0 ]; then", *uploads, "fi"]
    return "\n".join([*lines, "exit $code"])


def _fetch(path: str, volume: InputVolume) -> list[str]:
    where = shlex.quote(path)
    match volume:
        case InlineInputVolume():
            return [
                f"mkdir -p {where}",
                "zip=$(mktemp)",
                "base64 -d >$zip <<'CH_INLINE'",
                volume.contents,
                "CH_INLINE",
                "if command -v unzip >/dev/null; "
                f"then unzip -qo $zip -d {where}; "
                f"else python3 -m zipfile -e $zip {where}; fi",
            ]
        case HTTPInputVolume():
            folder = shlex.quote(str(PurePosixPath(path).parent))
            url = shlex.quote(volume.url)
            return [f"mkdir -p {folder}", f"curl -fsSL --retry 3 -o {where} {url}"]
        case _:
            call = json.dumps({**volume.model_dump(exclude_none=True), "local_dir": path})
            return [
                "python3 -m pip install -q huggingface_hub",
                f"python3 -c {shlex.quote(SNAPSHOT)} {shlex.quote(call)}",
            ]


def _send(path: str, volume: HTTPOutputVolume) -> str:
    words = ["curl", "-fsS", "-D", "headers", "-o", "body"]
    for name, value in (volume.signed_headers or {}).items():
        words += ["-H", f"{name}: {value}"]
    if volume.http_method == "PUT":
        words += ["-T", path]
    for name, value in (volume.form_fields or {}).items():
        words += ["--form-string", f"{name}={value}"]
    if volume.http_method == "POST":
        words += ["-F", f"file=@{path}"]
    key = shlex.quote(_encoded(path.removeprefix(OUTPUT_MOUNT)))
    return (
        f"if {shlex.join([*words, volume.url])}; then "
        f"emit headers/{key} <headers; emit body/{key} <body; else code=1; fi"
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def result(log: str) -> ComputeHordeJobResult:
    """Parse the job's result from its log."""
    emitted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in log.splitlines():
        if found := EMITTED_LINE.search(line):
            emitted[found[1], found[2] or ""].append(found[3])
    parts = {key: _decoded("".join(pieces)) for key, pieces in emitted.items()}

    def text(kind: str, name: str = "") -> str:
        return parts.get((kind, name), b"").decode("utf-8", "replace")

    left = ComputeHordeJobResult(text("stdout"), text("stderr"), {})
    for kind, name in parts:
        path = _decoded(name).decode("utf-8", "replace")
        if kind == "artifact":
            left.artifacts[path] = parts[kind, name]
        if kind == "headers":
            answer = HttpOutputVolumeResponse(
                headers=_headers(text(kind, name)), body=text("body", name)
            )
            left.add_upload_result(path, answer)
    return left


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
