"""Which engine is used, and the error when there is none."""

import os
import subprocess

import pytest

from localnet import docker_engine

NOWHERE = "unix:///nowhere/docker.sock"


@pytest.mark.docker
def test_a_running_engine_is_used():
    assert docker_engine.answers()
    assert docker_engine.prepare() is False


def test_an_address_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    assert not docker_engine.answers()
    with pytest.raises(docker_engine.NoDockerError, match="DOCKER_HOST"):
        docker_engine.prepare()


def test_without_engine_and_rights_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(docker_engine, "_DEFAULT", NOWHERE)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(docker_engine.NoDockerError, match=r"usermod|install docker"):
        docker_engine.prepare()


def test_the_networks_own_engine_runs_under_the_supervisor():
    process = docker_engine.process({"PATH": "/usr/sbin"}, on_first_ready=lambda: None)
    assert process.command[0] == "dockerd"
    assert process.probe is not None


@pytest.mark.docker
def test_the_client_uses_the_same_engine_as_the_command_line():
    with docker_engine.client() as engine:
        version = engine.get("/version").json()["Version"]
    shown = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True
    )
    assert version == shown.stdout.strip()
