"""The settings of synthetic batches from the environment."""

import pytest
from pydantic import ValidationError

from compute_horde.hardware import ExecutorClass
from validator.config import Config


def test_a_class_that_is_not_listed_is_tested_by_hash_as_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VALIDATOR_HASH_IMAGE", "mirror.example/hash:v1")
    monkeypatch.setenv("VALIDATOR_BATCH_KINDS", '{"always_on.test": [{"kind": "echo"}]}')
    kinds = Config().kinds
    assert set(kinds) == set(ExecutorClass)
    assert [one.kind for one in kinds[ExecutorClass.always_on__test]] == ["echo"]
    (usual,) = kinds[ExecutorClass.always_on__gpu_24gb]
    assert (usual.kind, usual.image) == ("hash", "mirror.example/hash:v1")


def test_buckets_have_the_names_that_s3_clients_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "S3_BUCKET_NAME_PROMPTS": "prompts",
        "S3_BUCKET_NAME_ANSWERS": "answers",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    access = Config().bucket_access
    assert (access.prompts, access.answers, access.access_key) == ("prompts", "answers", "id")
    assert (access.secret_key, access.endpoint) == ("secret", "http://127.0.0.1:9000")
    assert access.region == "eu-central-1"
    assert "secret'" not in repr(Config())


def test_control_probes_are_addresses_with_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALIDATOR_CONTROL_PROBES", "192.0.2.1:443, [2001:db8::1]:80, example.com:1")
    assert len(Config().control_probes) == 3
    for wrong in ("example.com", "https://example.com:443", "example.com:99999", ":80", "a:1/path"):
        monkeypatch.setenv("VALIDATOR_CONTROL_PROBES", wrong)
        with pytest.raises(ValidationError, match=r"host:port|[Pp]ort"):
            Config()
