"""Errors name the image as its user wrote it, and tell who is at fault."""

import pytest

from compute_horde.errors import HordeError, JobError
from compute_horde.faults import Cause
from executor.images import errors


def test_the_image_is_named_but_not_at_any_length():
    failed = errors.with_image_name(errors.ImageError("it is too large"), "x" * 1000)
    assert str(failed) == f"Image {'x' * 512!r} cannot be fetched: it is too large"
    assert isinstance(failed, JobError)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_a_registry_in_trouble_is_nobody_s_fault(status):
    failed = errors.with_image_name(errors.from_status(status), "x")
    assert isinstance(failed, HordeError)
    assert failed.context == Cause.REGISTRY.context


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 999])
def test_a_registry_s_no_is_the_user_s(status):
    assert isinstance(errors.from_status(status), errors.ImageError)
