"""The hardware specification of this machine."""

from executor import machine_specs

SMI = (
    "NVIDIA RTX A6000, 550.54, 49140, 8.6, 300.00, 0, 405, GPU-x, 1\n"
    "NVIDIA RTX A6000, 550.54, 49140, 8.6, 300.00, 0, 405, GPU-y, [N/A]\n"
)


def test_each_line_of_nvidia_smi_is_a_device():
    section = machine_specs.parse_gpus(SMI)
    assert section["count"] == 2
    assert section["details"][0] == {
        "name": "NVIDIA RTX A6000",
        "driver": "550.54",
        "capacity": "49140",
        "cuda": "8.6",
        "power_limit": "300.00",
        "graphics_speed": "0",
        "memory_speed": "405",
        "uuid": "GPU-x",
        "serial": "1",
    }


async def test_every_section_is_there_or_says_why_not(tmp_path):
    found = await machine_specs.collect(tmp_path)
    assert {name.removesuffix("_scrape_error") for name in found} == {
        *("gpu", "cpu", "ram", "hard_disk", "os")
    }
    assert found["cpu"]["count"] > 0
    assert found["ram"]["total"] >= found["ram"]["available"] > 0
    assert found["hard_disk"]["total"] > found["hard_disk"]["free"] > 0
    assert found["os"]


async def test_a_section_that_fails_leaves_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await machine_specs.collect(tmp_path / "missing")
    assert found["gpu_scrape_error"].startswith("FileNotFoundError")
    assert found["hard_disk_scrape_error"].startswith("FileNotFoundError")


async def test_a_stand_in_for_nvidia_smi_is_asked(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<X\n{SMI}X\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (await machine_specs.collect(tmp_path))["gpu"] == machine_specs.parse_gpus(SMI)
    program.write_text("#!/bin/sh\nexit 9\n")
    assert "ended with 9" in (await machine_specs.collect(tmp_path))["gpu_scrape_error"]
