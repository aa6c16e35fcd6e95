"""The YAML file of the servers that run executors in containers, one executor each."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass


class DockerServer(BaseModel):
    """One server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor_class: ExecutorClass = ExecutorClass.spin_up_4min__gpu_24gb
    mode: Literal["local", "ssh"] = "ssh"
    host: str | None = None
    ssh_port: int = Field(22, ge=1, le=65535)
    username: str | None = None
    key_path: Path | None = None
    verify_host_key: bool = True
    streaming_ports: str | None = Field(None, pattern=r"^\d{1,5}(-\d{1,5})?$")

    @model_validator(mode="after")
    def _check_reachable(self) -> Self:
        if self.mode == "ssh" and not (self.host and self.username and self.key_path):
            raise ValueError("mode ssh needs host, username and key_path")
        return self


_Servers = TypeAdapter(dict[str, DockerServer])


def read(path: Path) -> dict[str, DockerServer]:
    """The servers by name; `ConfigurationError` describes errors in the file."""
    try:
        servers = _Servers.validate_python(yaml.safe_load(path.read_text()) or {})
    except (OSError, yaml.YAMLError, ValidationError) as exc:
        raise ConfigurationError(f"MINER_DOCKER_SERVERS={path}: {exc}") from exc
    if sum(server.mode == "local" for server in servers.values()) > 1:
        raise ConfigurationError(f"MINER_DOCKER_SERVERS={path}: at most one server may be local")
    return servers


def tunnel_command(server: DockerServer, socket: Path) -> list[str]:
    """The `ssh` command that forwards the engine of the server to `socket`."""
    checked = "yes" if server.verify_host_key else "no"
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "15",
        "ExitOnForwardFailure": "yes",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "StreamLocalBindUnlink": "yes",
        "StrictHostKeyChecking": checked,
    }
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return [
        "ssh",
        "-N",
        *flags,
        "-p",
        str(server.ssh_port),
        "-i",
        str(server.key_path),
        "-L",
        f"{socket}:/var/run/docker.sock",
        f"{server.username}@{server.host}",
    ]
