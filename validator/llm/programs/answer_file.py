"""Files of prompts and answers: how they are written, and how untrusted ones are read; pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from validator.llm.programs.completion import Trace

# Of one file; 240 answers of 256 tokens have about 300 kB.
MAX_BYTES = 4 * 2**20
MAX_TRACE_BYTES = 64 * 2**20
MAX_PROMPT_CHARACTERS = 4096


class BadFileError(ValueError):
    """A file that is not what it should be; the text says what is wrong."""


def prompts_text(prompts: Sequence[str]) -> bytes:
    """The file of a series: a prompt per line."""
    return "".join(f"{prompt}\n" for prompt in prompts).encode()


def read_prompts(content: bytes) -> list[str]:
    """The prompts of a file, each once, in their order; raises `BadFileError`."""
    if len(content) > MAX_BYTES:
        raise BadFileError(f"it has {len(content):,} bytes, over {MAX_BYTES:,}")
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as exc:
        raise BadFileError(f"it is not UTF-8: {exc.reason}") from exc
    prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not prompts:
        raise BadFileError("it has no prompts")
    longest = max(len(prompt) for prompt in prompts)
    if longest > MAX_PROMPT_CHARACTERS:
        raise BadFileError(f"a prompt has {longest:,} characters, over {MAX_PROMPT_CHARACTERS:,}")
    if any("\0" in prompt for prompt in prompts):
        raise BadFileError("a prompt has a NUL, which no database stores")
    return prompts


def answers_text(answers: Mapping[str, str]) -> bytes:
    """The file of answers: a JSON object, prompt to answer."""
    return json.dumps(dict(answers), ensure_ascii=False, indent=0).encode()


def read_answers(content: bytes) -> dict[str, str]:
    """The answers of a file, by prompt; raises `BadFileError`."""
    found = _json_object(content, MAX_BYTES)
    if not all(isinstance(answer, str) for answer in found.values()):
        raise BadFileError("an answer is no text")
    return found


def digest(content: bytes) -> str:
    """The SHA-256 of a file, in hex; a miner commits itself to its answers by it."""
    return hashlib.sha256(content).hexdigest()


def trace_text(model: str, traces: Mapping[str, Trace], *, is_deterministic: bool) -> bytes:
    """The file beside trusted answers: what made them, and how each token was chosen."""
    about = {"model": model, "deterministic": is_deterministic, "traces": dict(traces)}
    return json.dumps(about, ensure_ascii=False).encode()


def read_trace(content: bytes) -> tuple[bool, dict[str, Trace]]:
    """Whether the image declares itself deterministic, and its traces; raises `BadFileError`."""
    found = _json_object(content, MAX_TRACE_BYTES)
    if not isinstance(found.get("deterministic"), bool) or not isinstance(
        found.get("traces"), dict
    ):
        raise BadFileError("it has no `deterministic` and `traces`")
    return found["deterministic"], found["traces"]


def _json_object(content: bytes, max_bytes: int) -> dict[str, Any]:
    if len(content) > max_bytes:
        raise BadFileError(f"it has {len(content):,} bytes, over {max_bytes:,}")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise BadFileError(f"it is no JSON: {str(exc)[:100]}") from exc
    if not isinstance(found, dict):
        raise BadFileError("it is no JSON object")
    return found
