"""Requests bound to a validator: none for another, none twice, none unbound after a bound one."""

from uuid import uuid4

from compute_horde import signing
from compute_horde.django.database import in_database
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.job import JobRequested
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import STRANGER, USER, VALIDATOR
from tests.peers.user import request
from tests.validator.conftest import Scene
from validator.jobs.models import BindingSigner

NONCE = "0123456789abcdef"


def bound(validator: str = VALIDATOR.ss58_address, nonce: str = NONCE) -> JobRequested:
    job = request()
    assert job.signature
    binding = RequestBinding.signed(
        USER,
        target_validator=validator,
        nonce=nonce,
        request_digest=signing.request_digest(job.signed_text(), job.signature.timestamp_ns),
        job_namespace=job.job_namespace,
    )
    return job.model_copy(update={"binding": binding})


async def refusal(facilitator: FacilitatorPeer, job: JobRequested) -> str:
    """Why a job is refused."""
    await facilitator.send(job)
    end = await facilitator.receives_end(job.uuid)
    assert end.metadata
    assert end.metadata.job_rejection_details, end
    return end.metadata.job_rejection_details.message


async def is_taken(facilitator: FacilitatorPeer, job: JobRequested) -> bool:
    await facilitator.send(job)
    await facilitator.until(lambda: facilitator.states(job.uuid))
    return facilitator.states(job.uuid)[0] == "received"


async def test_a_request_bound_to_another_validator_is_refused(scene: Scene) -> None:
    async with scene() as facilitator:
        assert "was signed for validator" in await refusal(
            facilitator, bound(STRANGER.ss58_address)
        )


async def test_a_binding_that_is_not_the_signers_is_refused(scene: Scene) -> None:
    job = bound()
    changed = job.model_copy(
        update={"binding": job.binding and job.binding.model_copy(update={"nonce": NONCE[::-1]})}
    )
    async with scene() as facilitator:
        assert await refusal(facilitator, changed) == "Bad signature"


async def test_a_nonce_is_used_once_whatever_is_signed_with_it(scene: Scene) -> None:
    async with scene() as facilitator:
        assert await is_taken(facilitator, bound())
        assert "replayed" in await refusal(facilitator, bound())


async def test_a_request_is_taken_once_whether_its_binding_is_left_out_first_or_its_uuid_changed(
    scene: Scene,
) -> None:
    job = bound()
    async with scene() as facilitator:
        stripped = job.model_copy(update={"binding": None, "uuid": str(uuid4())})
        assert await is_taken(facilitator, stripped)
        assert "replayed" in await refusal(facilitator, job)
    # Nor with another nonce, which its signer gave the same signature.
    again = RequestBinding.signed(
        USER,
        target_validator=VALIDATOR.ss58_address,
        nonce=NONCE[::-1],
        request_digest=signing.request_digest(job.signed_text(), job.signature.timestamp_ns),
        job_namespace=job.job_namespace,
    )
    async with scene() as facilitator:
        rebound = job.model_copy(update={"binding": again, "uuid": str(uuid4())})
        assert "replayed" in await refusal(facilitator, rebound)


async def test_who_has_bound_a_request_is_not_believed_without_until_an_operator_says_so(
    scene: Scene,
) -> None:
    first = bound()
    async with scene() as facilitator:
        assert await is_taken(facilitator, request())
        assert await is_taken(facilitator, first)
        stripped = first.model_copy(update={"binding": None, "uuid": str(uuid4())})
        assert "not bound to this validator" in await refusal(facilitator, stripped)
    # Also after a restart of the validator.
    async with scene() as facilitator:
        assert "not bound to this validator" in await refusal(facilitator, request())
    await in_database(BindingSigner.objects.all().delete)
    async with scene() as facilitator:
        assert await is_taken(facilitator, request())
