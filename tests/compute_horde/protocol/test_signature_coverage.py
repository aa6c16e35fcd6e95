"""Whatever is changed in a signed request on its way is noticed: every field, at every depth.

The fields are enumerated from the models, so a field that is added later is tested by itself.
"""

import json
from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from compute_horde import signing, uploads, volumes
from compute_horde.errors import BadSignature, ProtocolError
from compute_horde.protocol import extensions, links
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.job import UNSIGNED, CheatReported, JobRequested
from compute_horde.signing import RequestSignature
from compute_horde.uploads import MultiUpload
from compute_horde.vocabulary import SignatureScope
from tests.compute_horde.vectors import USER

# May differ without a `BadSignature`, each with the reason.
FREE = {
    (JobRequested, "uuid"): UNSIGNED["uuid"],
}


class Step(NamedTuple):
    """A field of a model."""

    model: type[BaseModel]
    field: str

    def __str__(self) -> str:
        return f"{self.model.__name__}.{self.field}"


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a value of this type may be or hold, without theirs."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from models_in(part)


def ways(annotation: Any) -> Iterator[tuple[Step, ...]]:
    """Every field below a type, with how one gets there."""
    for model in dict.fromkeys(models_in(annotation)):
        for name, field in model.model_fields.items():
            step = Step(model, name)
            yield (step,)
            for rest in ways(field.annotation):
                yield (step, *rest)


WORDS = st.text("abcdefgłZ0123456789", min_size=1, max_size=6)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    NoneType: st.none(),
    bool: st.booleans(),
    int: st.integers(0, 2**31 - 1),
    str: WORDS,
    Any: st.none() | WORDS | st.lists(WORDS) | st.dictionaries(WORDS, WORDS),
}


def values(annotation: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a type, in the form of Python's own types."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if name == "nonce":
        return st.text("abc-_09", min_size=16, max_size=64)
    if name.endswith("uuid"):
        return st.uuids().map(str)
    if origin is Annotated:
        return values(parts[0], name)
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in (Union, UnionType):
        return st.one_of([values(part, name) for part in parts])
    if origin is list:
        return st.lists(values(parts[0]), min_size=1, max_size=3)
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    return PLAIN[annotation] if annotation in PLAIN else composed(annotation)


def composed(annotation: Any) -> st.SearchStrategy[Any]:
    if issubclass(annotation, Enum):
        return st.sampled_from([one.value for one in annotation])
    fields = annotation.model_fields
    return st.fixed_dictionaries({n: values(f.annotation, n) for n, f in fields.items()})


def holding(annotation: Any, way: tuple[Step, ...]) -> st.SearchStrategy[Any]:
    """Values of a type in which that way can be gone."""
    if not way:
        return values(annotation)
    step, origin, parts = way[0], get_origin(annotation), get_args(annotation)
    if origin is list:
        return holding(parts[0], way).map(lambda one: [one])
    if parts:
        part = next(part for part in parts if step.model in models_in(part))
        return holding(part, way)
    fields = step.model.model_fields
    given = {name: values(field.annotation, name) for name, field in fields.items()}
    if len(way) > 1:
        given[step.field] = holding(fields[step.field].annotation, way[1:])
    return st.fixed_dictionaries(given)


def changed(value: Any, way: tuple[Step, ...], new: Any) -> Any:
    """The same value with another one at the end of the way."""
    if isinstance(value, list):
        return [changed(value[0], way, new), *value[1:]]
    name, rest = way[0].field, way[1:]
    return {**value, name: changed(value[name], rest, new) if rest else new}


def at(value: Any, way: tuple[Step, ...]) -> Any:
    for step in way:
        value = (value[0] if isinstance(value, list) else value)[step.field]
    return value


def signed_text(request: Any) -> tuple[str, SignatureScope]:
    match request:
        case JobRequested():
            return request.signed_text(), SignatureScope.SIGNED_FIELDS
        case CancelRequested():
            return extensions.cancel_text(request.job_uuid), SignatureScope.FULL_REQUEST
    report = request.model_dump(include={"job_uuid", "trusted_job_uuid", "details"})
    return signing.cheat_report_payloads(report)[0], SignatureScope.FULL_REQUEST


def meaning(request: Any) -> Any:
    """What is done for a request, in which a list of one is the one, and empty is none."""
    if not isinstance(request, JobRequested):
        return request
    upload = request.output_upload
    rest = upload.system_output if isinstance(upload, MultiUpload) else None
    plain = request.model_copy(
        update={"volume": None, "output_upload": None, "artifacts_dir": request.artifacts_dir or ""}
    )
    return plain, volumes.simple_volumes(request.volume), uploads.each(upload), rest


def decoded(sent: dict[str, Any]) -> Any:
    """The request as a validator decodes it; a change that makes it unreadable was noticed."""
    try:
        return links.FACILITATOR_TO_VALIDATOR.decode(json.dumps(sent))
    except ProtocolError:
        return None


def plain(sent: dict[str, Any]) -> dict[str, Any]:
    """The part of a request that a user signs, without fields that the published text lacks."""
    sent = sent | {"signature": {"signature": ""}}
    upload = sent.get("output_upload")
    if upload and upload.get("system_output"):
        sent["output_upload"] = upload | {"system_output": None}
    return sent


REQUESTS = (JobRequested, CheatReported, CancelRequested)
# A request that holds this at all is refused, whatever is in it.
REFUSED = Step(MultiUpload, "system_output")
WAYS = [way for request in REQUESTS for way in ways(request) if REFUSED not in way[:-1]]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "/".join(map(str, way)))
@given(data=st.data())
@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_a_changed_field_of_a_signed_request_is_a_bad_signature(way, data):
    model = way[0].model
    sent = plain(data.draw(holding(model, () if way[1:2] == () else way)))
    request = decoded(sent)
    assert request is not None
    text, scope = signed_text(request)
    signature = signing.sign_request(USER, text, timestamp_ns=7, scope=scope)
    sent["signature"] = signature.model_dump(mode="json")
    if sent.get("binding"):
        sent["binding"] = bound(sent, text)
    assert decoded(sent).verify() == USER.ss58_address

    last = way[-1]
    other = data.draw(values(last.model.model_fields[last.field].annotation, last.field))
    assume(other != at(sent, way) or is_single(last))
    request = decoded(changed(sent, way, other))
    before = decoded(sent)
    if request is None or meaning(request) == meaning(before) or is_free(way, before, request):
        return
    with pytest.raises(BadSignature):
        request.verify()


def bound(sent: dict[str, Any], text: str) -> dict[str, Any]:
    """The drawn binding, signed."""
    binding = RequestBinding.signed(
        USER,
        target_validator=sent["binding"]["target_validator"],
        nonce=sent["binding"]["nonce"],
        request_digest=signing.request_digest(text, 7),
        job_namespace=sent["job_namespace"],
    )
    return binding.model_dump(mode="json")


def is_free(way: tuple[Step, ...], before: Any, after: Any) -> bool:
    """Whether a change need not be noticed here."""
    if way[0] == (JobRequested, "job_namespace"):
        return before.binding is None
    # Services demand a binding from everyone who has sent one.
    has_lost = way[0] == (JobRequested, "binding") and after.binding is None
    return has_lost or way[0] in FREE


def is_single(step: Step) -> bool:
    """Whether there is but one value: nothing can be changed."""
    annotation = step.model.model_fields[step.field].annotation
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def test_all_kinds_of_fields_are_changed():
    steps = {str(way[-1]) for way in WAYS}
    assert {"MultiUpload.system_output", "ZipPost.form_fields", "HuggingfaceVolume.token"} <= steps
    assert {f"RequestSignature.{name}" for name in RequestSignature.model_fields} <= steps


def test_what_a_signature_does_not_cover_is_named():
    asked = JobRequested(
        uuid="6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
        executor_class="always_on.test",
        docker_image="busybox",
        args=[],
        env={},
        download_time_limit=1,
        execution_time_limit=1,
        upload_time_limit=1,
        streaming_start_time_limit=1,
    )
    signature = signing.sign_request(
        USER, asked.signed_text(), timestamp_ns=7, scope=SignatureScope.SIGNED_FIELDS
    )
    stolen = MultiUpload(uploads=[], system_output=uploads.ZipPut(url="https://thief/"))
    taken = asked.model_copy(update={"signature": signature, "output_upload": stolen})
    with pytest.raises(BadSignature, match="does not cover output_upload"):
        taken.verify()
