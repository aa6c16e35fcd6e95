"""The admin pages of the pipeline."""

import pytest
from django.test import Client
from django.utils import timezone

from tests.validator.llm import making
from validator.llm.models import PipelineStep, PromptSample

pytestmark = pytest.mark.django_db

SEED = 123_456_789


def test_the_operator_sees_the_pipeline_and_no_secrets(admin_client: Client) -> None:
    workload = making.workload(answered=True)
    PromptSample.objects.filter(workload=workload).update(seed=SEED)
    PipelineStep.objects.create(
        name="generation", ended_at=timezone.now(), is_ok=False, result="there is no trusted miner"
    )
    shown = {
        "pipelinestep": "there is no trusted miner",
        "promptseries": str(workload.samples.first().series_id),
        "solveworkload": "2 of 2",
        "promptsample": str(workload.uuid),
    }
    for page, text in shown.items():
        answer = admin_client.get(f"/admin/llm/{page}/")
        assert answer.status_code == 200
        assert text in answer.content.decode()
    sample = PromptSample.objects.first()
    page = admin_client.get(f"/admin/llm/promptsample/{sample.pk}/change/").content.decode()
    assert str(workload.uuid) in page
    assert str(SEED) not in page.replace(",", "")
