"""Requests bound to one validator and one use, required from users who have sent one before."""

from django.http import HttpRequest
from pydantic import ValidationError

from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.job import JobRequested
from compute_horde.vocabulary import Extension
from facilitator.accounts.recent_checks import binding_users
from facilitator.models import BindingSigner
from facilitator.web.errors import ApiError

BINDING_REQUIRED = (
    "this hotkey has bound its requests to a validator before (X-CH-Binding-*), so one that is not "
    "bound may be a replay. Use the SDK that it used, or have the facilitator's operator delete it "
    "from the binding signers"
)


def binding_of(request: HttpRequest, validator: str) -> RequestBinding | None:
    """The binding in a request's headers, or None; raises `ApiError` when it is malformed."""
    try:
        return RequestBinding.in_headers(request.headers, validator)
    except ValidationError as exc:
        details = "X-CH-Binding-Nonce takes 16 to 64 characters of A-Z a-z 0-9 _ -"
        raise ApiError(400, {"error": "Invalid binding", "details": details}) from exc


def require_binding(job: JobRequested, hotkey: str) -> None:
    """Record a user who binds requests; raises `ApiError` for a later unbound one."""
    if job.binding is not None:
        if not binding_users.has_passed(hotkey):
            changes = binding_users.changes
            BindingSigner.objects.get_or_create(hotkey=hotkey)
            binding_users.mark_passed(hotkey, changes)
    elif BindingSigner.objects.filter(hotkey=hotkey).exists():
        raise ApiError(400, {"error": "Request not bound", "details": BINDING_REQUIRED})


def frame_for_peer(frame: str, peer: frozenset[Extension]) -> str:
    """A stored frame without the binding if `peer` does not know it: it refuses unknown keys."""
    if Extension.BINDING in peer or '"binding"' not in frame:
        return frame
    if '"V2JobRequest"' not in frame:
        return frame
    job = JobRequested.model_validate_json(frame)
    return job.model_copy(update={"binding": None}).encode()
