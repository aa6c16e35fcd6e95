"""Writes the pages that repeat the code, from the code: `python -m docs.generate`."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from inspect import isclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, Lt, MaxLen
from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_json
from pydantic_settings import BaseSettings

from compute_horde.deadlines import Budget, timed_out
from compute_horde.frames import MAX_VALUES
from compute_horde.hardware import PROMISES, Promise
from compute_horde.lifecycle import CLAIMS, FINAL, MAY_FOLLOW
from compute_horde.protocol import links
from compute_horde.vocabulary import JobState
from docs import limits, scoring, security, whose_fault
from docs.tables import NOTE, table
from executor.config import Config as ExecutorConfig
from miner.config import Config as MinerConfig

HERE = Path(__file__).parent
PLAIN = {str: "text", int: "whole number", bool: "true or false", NoneType: "null", Any: "anything"}
# Discriminators have defaults in our classes, yet a frame without them is no message.
TAGS = {"message_type", "volume_type", "output_upload_type", "receipt_type"}

PROTOCOL = f"""{NOTE}
# What the parties say to each other

A frame is one JSON object on a websocket; `message_type` says which message it is (only
`Response` has none). Senders write every field; receivers ignore the ones they do not know. Words
of the lists below that a receiver does not know read as `unknown`, but an unknown executor class
makes the whole message invalid. A frame that is no message, is longer than its link allows or
holds over {MAX_VALUES:,} values is a `ProtocolError`; nothing else can come of one. The uuid of a
job is lower-case and hyphenated.
"""
LIFECYCLE = f"""{NOTE}
# The life of a job

Every service moves its jobs by this one table. Who hears messages moves a job with `advance`;
who hears reports, which may skip states or come late, with `catch_up`.
"""
SETTINGS = f"""{NOTE}
# Every setting of a miner and its executors

Read from the environment, a miner's also from a file `.env`. How they belong together is told in
[run-a-miner.md](run-a-miner.md).
"""
LIMITS = """## What a job of each class gets

As far as the machine has it, unless a setting above says otherwise. Scratch space and /dev/shm are
part of the memory; disk and files are those of /volume, /output, /specs, artifacts and a writable
root together, deleted files included while a process holds them. How each is enforced is told in
[sandbox.md](sandbox.md).
"""


def main() -> None:
    for name, text in pages().items():
        (HERE / name).write_text(text)


def pages() -> dict[str, str]:
    """Each generated page and what it should hold."""
    return {
        "protocol.md": "\n".join(_protocol()),
        "limits.md": "\n".join(limits.page()),
        "lifecycle.md": "\n".join(_lifecycle()),
        "miner-settings.md": "\n".join(_settings()),
        "whose-fault.md": "\n".join(whose_fault.page()),
        "security.md": "\n".join(security.page()),
        "scoring.md": "\n".join(scoring.page()),
    }


def _protocol() -> Iterator[str]:
    messages = {c for _, union in links.LINKS for c in get_args(union)}
    yield PROTOCOL
    yield "## Who says what\n"
    for link, union in links.LINKS:
        yield f"**{link.name}**, frames of up to {link.max_bytes // 2**20} MiB:"
        yield ",\n".join(map(_name, get_args(union))) + "\n"
    yield "## Messages\n"
    for message in sorted(messages, key=lambda c: c.__name__):
        yield from _fields_of(message)
    parts, words = _mentioned(messages)
    yield "## Parts of messages\n"
    for part in sorted(parts - messages, key=lambda c: c.__name__):
        yield from _fields_of(part)
    yield "## Words\n"
    for word in sorted(words, key=lambda c: c.__name__):
        yield f"### {word.__name__}\n\n{_first_line(word)}\n"
        yield ", ".join(f"`{value}`" for value in word) + "\n"
    yield "## Executor classes\n"
    rows = (
        (f"`{k}`", p.code, p.spin_up.seconds, p.vram_gb, p.cores, p.ram_gb, p.disk_gb)
        for k, p in PROMISES.items()
    )
    heads = ("class", "letter", "spin-up, s", "GPU GB", "cores", "RAM GB", "disk GB")
    yield from table(*heads, rows=rows)


def _lifecycle() -> Iterator[str]:
    yield LIFECYCLE
    yield "```mermaid\nstateDiagram-v2"
    yield f"    [*] --> {JobState.SENT}"
    for state, following in MAY_FOLLOW.items():
        yield from (f"    {state} --> {after}" for after in JobState if after in following)
    yield from (f"    {state} --> [*]" for state in JobState if state in FINAL)
    yield "```\n"
    yield "A state that outlives its time ends the job as `horde_failed`. Time counted from the"
    yield "deadline before is added to it, so that what one stage leaves the next may use.\n"
    said = {state: message.__name__ for message, state in CLAIMS.items()}
    rows = (
        (f"`{state}`{' of a streaming job' if streaming else ''}", said.get(state), *clock)
        for state in JobState
        for streaming in (False, True)
        if (clock := _clock(state, streaming=streaming))
    )
    yield from table("state", "entered by", "time", "counted from", "too late is", rows=rows)


def _settings() -> Iterator[str]:
    yield SETTINGS
    for title, config in (("The miner", MinerConfig), ("An executor", ExecutorConfig)):
        yield f"## {title}\n"
        rows = (
            (_variable(name, field, config), _preset(field), field.description)
            for name, field in config.model_fields.items()
        )
        yield from table("name", "default", "what", rows=rows)
    yield LIMITS
    limits = (
        (f"`{k}`", p.cores or "all", p.ram_gb or "90 %", *_bounds_of_a_job(p))
        for k, p in PROMISES.items()
    )
    heads = (
        "processors",
        "memory, GiB",
        "processes",
        "disk, GiB",
        "files",
        "scratch, GiB",
        "shared, GiB",
    )
    yield from table("class", *heads, rows=limits)


def _bounds_of_a_job(promise: Promise) -> tuple[int, ...]:
    return promise.pids, promise.disk_gb, promise.files, promise.tmp_gb, promise.shm_gb


def _variable(name: str, field: FieldInfo, config: type[BaseSettings]) -> str:
    """What the environment calls a field."""
    alias = field.validation_alias
    plain = f"{config.model_config['env_prefix']}{name}".upper()
    names = alias.choices if isinstance(alias, AliasChoices) else [alias or plain]
    return " or ".join(f"`{each}`" for each in names)


def _preset(field: FieldInfo) -> str | None:
    if field.default_factory is not None:
        return "random"
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    told = value if isinstance(value, str) else to_json(value, fallback=str).decode().strip('"')
    return None if value is None else f"`{told}`" if told else "empty"


def _clock(state: JobState, *, streaming: bool) -> tuple[str, str, str] | None:
    """Which of a budget's times a state adds, to what, and the word for a silent peer."""
    if state not in MAY_FOLLOW or (streaming and state is not JobState.VOLUMES_READY):
        return None
    names = [field.name for field in fields(Budget) if field.name != "streaming"]
    times = {name: timedelta(seconds=2**bit) for bit, name in enumerate(names)}
    budget = Budget(**times, streaming=streaming)
    allowed = budget.allowed_in(state)
    added = [name for name, time in times.items() if allowed.seconds & time.seconds]
    now, before = datetime(2030, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
    fresh = budget.deadline(state, now=now, previous=before) == now + allowed
    start = "its beginning" if fresh else "the deadline before"
    return " + ".join(added), start, f"`{timed_out(state, streaming=streaming)}`"


def _fields_of(part: type[BaseModel]) -> Iterator[str]:
    yield f"### {part.__name__}\n\n{_first_line(part)}\n"
    rows = (
        (_key(n, f), _kind(f.annotation, f.metadata), _absent(n, f))
        for n, f in part.model_fields.items()
    )
    yield from table("field", "is", "when absent", rows=rows)


def _key(name: str, field: FieldInfo) -> str:
    """The key, and those it had once."""
    alias = field.validation_alias
    keys = alias.choices if isinstance(alias, AliasChoices) else [name]
    return ", once ".join(f"`{key}`" for key in keys)


def _absent(name: str, field: FieldInfo) -> str:
    if name in TAGS or field.is_required():
        return "refused"
    return f"`{to_json(field.get_default(call_default_factory=True)).decode()}`"


def _kind(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """An annotation in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], inner[1:])
    if origin in {Union, UnionType}:
        return " or ".join(map(_kind, inner))
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in inner)
    if origin is list:
        return f"list of {_kind(inner[0])}{_bounds(metadata)}"
    if origin is dict:
        return f"object: {_kind(inner[0])} to {_kind(inner[1])}"
    if annotation in PLAIN:
        return PLAIN[annotation] + _bounds(metadata)
    return _name(annotation) if _is_ours(annotation) else "time"


def _bounds(metadata: Iterable[Any]) -> str:
    told = []
    for bound in metadata:
        match bound:
            case Ge(ge=low):
                told.append(f"from {low}")
            case Le(le=high):
                told.append(f"to {high}")
            case Lt(lt=high):
                told.append(f"below {high}")
            case MaxLen(max_length=most):
                told.append(f"at most {most} long")
            case _:
                continue
    return f" ({', '.join(told)})" if told else ""


def _mentioned(whole: Iterable[type]) -> tuple[set[type[BaseModel]], set[type[StrEnum]]]:
    """The parts and words that these classes are made of, however deep."""
    parts: set[type[BaseModel]] = set()
    words: set[type[StrEnum]] = set()
    waiting: list[Any] = list(whole)
    while waiting:
        one = waiting.pop()
        waiting.extend(get_args(one))
        if isclass(one) and issubclass(one, StrEnum):
            words.add(one)
        elif isclass(one) and issubclass(one, BaseModel) and one not in parts:
            parts.add(one)
            waiting.extend(field.annotation for field in one.model_fields.values())
    return parts, words


def _is_ours(annotation: Any) -> bool:
    return isclass(annotation) and issubclass(annotation, BaseModel | StrEnum)


def _name(part: type) -> str:
    return f"[{part.__name__}](#{part.__name__.lower()})"


def _first_line(part: type) -> str:
    return (part.__doc__ or "").strip().split("\n")[0]


if __name__ == "__main__":
    main()
