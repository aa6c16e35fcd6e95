"""One base for all errors, and the standard ones where users expect them."""

import ast
import importlib
from pathlib import Path

import pytest

import compute_horde_sdk
from compute_horde import errors as shared
from compute_horde_sdk import errors
from compute_horde_sdk.client import EXAMPLE_UUID
from compute_horde_sdk.fallback import errors as fallback
from compute_horde_sdk.job_unsuccessful import JobUnsuccessful
from compute_horde_sdk.jobs import ComputeHordeJob


@pytest.mark.parametrize(
    "kind",
    [
        errors.ComputeHordeNotFoundError,
        errors.ComputeHordeJobTimeoutError,
        errors.FacilitatorUnreachable,
        errors.RequestRefused,
        JobUnsuccessful,
        fallback.FallbackError,
        fallback.FallbackNotFoundError,
        fallback.FallbackJobTimeoutError,
    ],
)
def test_one_except_clause_catches_all(kind):
    assert issubclass(kind, errors.ComputeHordeError)
    assert errors.ComputeHordeError is shared.ComputeHordeError


def test_a_wait_that_ran_out_is_a_timeout_too():
    assert issubclass(errors.ComputeHordeJobTimeoutError, TimeoutError)
    assert issubclass(fallback.FallbackJobTimeoutError, (fallback.FallbackError, TimeoutError))


def test_an_unsuccessful_job_says_why_as_far_as_anyone_knows(client):
    history = [{"status": "rejected", "created_at": "2026-01-01T00:00:00Z", "metadata": None}]
    job = ComputeHordeJob.from_answer(client, {"uuid": EXAMPLE_UUID, "status_history": history})
    assert str(JobUnsuccessful(job)) == f"job {EXAMPLE_UUID} ended rejected: no reason given"


PACKAGE = Path(compute_horde_sdk.__file__).parent
# Exceptions that are caught inside the package, by Typer, by pydantic or by the interpreter.
NEVER_SEEN_BY_USERS = {
    ("cli.error_handling", "UnwritableError"),
    ("cli.stdio", "UnwritableError"),
    # Converted by the HTTP client, like any malformed answer.
    ("facilitator.bounded_json", "ValueError"),
    ("facilitator.decoding", "DecodingError"),
    ("facilitator.connection", "TooManyRedirects"),  # a `RequestError` of httpx: no answer
    ("facilitator.http", "AssertionError"),
    ("facilitator.job_updates", "PushUnsupportedError"),
    ("job_status", "ValueError"),  # caught by `update_from` and `JobWatcher`
    ("volumes", "ValueError"),  # pydantic turns it into a `ValidationError`
}


def raised():
    """Every class named in a `raise` of the package, by module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).with_suffix("")
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Raise) or node.exc is None:
                continue
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            yield ".".join(inside.parts), called


@pytest.mark.parametrize(
    ("module", "called"), list(raised()), ids=lambda part: getattr(part, "id", None)
)
def test_all_that_is_raised_is_caught_by_one_except_clause(module, called):
    name = getattr(called, "attr", getattr(called, "id", ""))
    if (module, name) in NEVER_SEEN_BY_USERS or ast.unparse(called).startswith("typer."):
        return
    namespace = vars(importlib.import_module(f"compute_horde_sdk.{module}")) | vars(errors)
    found = namespace.get(name)
    if found is None or not isinstance(found, type):
        # A variable, or a function that returns what is raised.
        returned = getattr(found, "__annotations__", {}).get("return")
        assert (
            name in {"exc", "error"}
            or name.startswith("_unreachable")
            or (isinstance(returned, type) and issubclass(returned, errors.ComputeHordeError))
        ), f"what does `raise {ast.unparse(called)}` raise?"
        return
    assert issubclass(found, errors.ComputeHordeError)


def test_an_unsuccessful_job_carries_itself_its_fault_and_the_next_step(client):
    metadata = {
        "job_failure_details": {
            "reason": "nonzero_return_code",
            "message": "m",
            "stage": "execution",
        }
    }
    history = [{"status": "failed", "created_at": "2026-01-01T00:00:00Z", "metadata": metadata}]
    job = ComputeHordeJob.from_answer(client, {"uuid": EXAMPLE_UUID, "status_history": history})
    error = JobUnsuccessful(job)
    assert (error.job, error.job_uuid, error.fault) == (job, EXAMPLE_UUID, "user")
    assert error.next_step
    assert error.next_step in str(error)
