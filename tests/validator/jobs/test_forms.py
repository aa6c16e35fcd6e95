"""What an operator types becomes a job request, or an error beside its field."""

import shlex

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from validator.jobs import forms
from validator.jobs.forms import MAX_SECONDS, AdminJobForm
from validator.network.models import Neuron

pytestmark = pytest.mark.django_db

TYPED = {
    "docker_image": "busybox",
    "executor_class": "always_on.test",
    "download_time_limit": "1",
    "execution_time_limit": "2",
    "upload_time_limit": "3",
}
LINE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)
NAME = st.from_regex("[A-Z_]{1,8}", fullmatch=True)


def form(**typed: str) -> AdminJobForm:
    return AdminJobForm({**TYPED, **typed})


@pytest.fixture
def trusted_miner(monkeypatch) -> None:
    changed = forms.config.model_copy(update={"trusted_miner_address": "10.0.0.1"})
    monkeypatch.setattr(forms, "config", changed)


@given(st.lists(LINE, max_size=4), st.dictionaries(NAME, LINE.map(str.strip), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_typed_is_what_the_job_gets(args, env) -> None:
    lines = "\n".join(f" {name}={value}" for name, value in env.items())
    typed = form(args=shlex.join(args), env=lines)
    assert typed.is_valid(), typed.errors
    request = typed.request()
    assert (request.args, request.env) == (args, env)
    assert (request.docker_image, request.executor_class) == ("busybox", "always_on.test")
    limits = (request.download_time_limit, request.execution_time_limit, request.upload_time_limit)
    assert limits == (1, 2, 3)
    assert (request.artifacts_dir, request.signature, typed.miner) == (None, None, "")


def test_every_request_is_a_job_of_its_own() -> None:
    typed = form()
    assert typed.is_valid()
    assert typed.request().uuid != typed.request().uuid


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("args", "sh -c 'echo", "cannot be split"),
        ("env", "A=1\nnonsense\n", "not KEY=VALUE: nonsense"),
        ("executor_class", "always_on.gpu-none", "always_on.gpu-none"),
        ("wanted_miner", "5Unknown", "5Unknown"),
        ("execution_time_limit", str(MAX_SECONDS + 1), str(MAX_SECONDS)),
        ("download_time_limit", "-1", "0"),
        ("docker_image", "x" * 513, "512"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(field: str, text: str, problem: str) -> None:
    typed = form(**{field: text})
    assert not typed.is_valid()
    assert list(typed.errors) == [field]
    assert problem in str(typed.errors[field])


def test_only_miners_that_serve_may_be_chosen() -> None:
    common = {"coldkey": "c", "ip": "1.2.3.4", "seen_at": timezone.now()}
    Neuron.objects.create(hotkey="5Serving", uid=1, port=8000, **common)
    Neuron.objects.create(hotkey="5Silent", uid=2, port=0, **common)
    Neuron.objects.create(hotkey="5Gone", uid=3, port=8000, registered=False, **common)
    typed = form(wanted_miner="5Serving")
    assert typed.is_valid()
    assert typed.miner == "5Serving"
    for other in ("5Silent", "5Gone"):
        assert not form(wanted_miner=other).is_valid()


def test_the_trusted_miner_must_exist() -> None:
    typed = form(on_trusted_miner="on")
    assert not typed.is_valid()
    assert "no trusted miner" in str(typed.errors)


def test_a_job_on_the_trusted_miner_is_for_no_other(trusted_miner) -> None:
    common = {"coldkey": "c", "ip": "1.2.3.4", "seen_at": timezone.now()}
    Neuron.objects.create(hotkey="5Serving", uid=1, port=8000, **common)
    typed = form(on_trusted_miner="on")
    assert typed.is_valid()
    assert typed.miner == TRUSTED_MINER_HOTKEY
    assert typed.request().on_trusted_miner
    both = form(on_trusted_miner="on", wanted_miner="5Serving")
    assert not both.is_valid()
    assert "not both" in str(both.errors)
