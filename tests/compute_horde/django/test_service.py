"""The command line of a service: its processes, its commands and what they need."""

import pytest

from compute_horde.configuration import Settings
from compute_horde.django.needs import Need
from compute_horde.django.service import WRONG_USE, Process, Service
from compute_horde.errors import OutsideError
from tests.servers import free_port

SETTINGS = "tests.compute_horde.django.settings"


class Desired(Settings):
    """Settings of the service that is tested."""

    model_config = {"env_prefix": "ECHO_"}

    port: int = 1


class Echo:
    """A service that notes what it does."""

    def __init__(self, **problems: Exception) -> None:
        self.done: list[object] = []
        self._problems = problems
        needs = tuple(self._need(name) for name in ("port", "database", "chain"))
        self.service = Service(
            "tests.compute_horde.django",
            Desired(),
            free_port(),
            (
                Process("web", lambda: self.done.append("web runs"), needs, SETTINGS),
                Process("keep", lambda: self.done.append("keep runs"), needs, SETTINGS),
            ),
            {"seed": lambda rest: self.done.append(("seed", rest))},
        )

    def _need(self, name: str) -> Need:
        def check() -> None:
            self.done.append(name)
            if problem := self._problems.get(name):
                raise problem

        return Need(name, check, with_settings=name == "database", with_models=name == "chain")

    def main(self, *words: str) -> None:
        self.service.main(list(words))


def test_a_process_runs_after_its_needs_and_the_first_one_by_itself():
    for words, name in (((), "web"), (("web",), "web"), (("keep",), "keep")):
        echo = Echo()
        echo.main(*words)
        assert echo.done == ["port", "database", "chain", f"{name} runs"]


def test_a_process_whose_needs_are_not_met_does_not_run():
    echo = Echo(database=OutsideError("away"))
    with pytest.raises(OutsideError, match="away"):
        echo.main("keep")
    assert echo.done == ["port", "database"]


def test_a_setting_that_nobody_knows_is_named_at_the_start(monkeypatch, caplog):
    monkeypatch.setenv("ECHO_PROT", "5")
    Echo().main("web")
    [line] = [one for one in caplog.records if one.message == "not a setting, ignored"]
    assert (line.setting, line.did_you_mean) == ("ECHO_PROT", "ECHO_PORT")


@pytest.mark.parametrize("words", [("dance",), ("web", "quickly"), ("health", "web", "keep")])
def test_unknown_words_are_answered_with_the_known_ones(words, capsys):
    echo = Echo()
    with pytest.raises(SystemExit) as ended:
        echo.main(*words)
    assert (ended.value.code, echo.done) == (WRONG_USE, [])
    assert "web|keep|migrate|seed|health|manage" in capsys.readouterr().err


def test_a_command_of_the_service_gets_the_words_after_it():
    echo = Echo()
    echo.main("seed", "--all", "x")
    assert echo.done == [("seed", ["--all", "x"])]


@pytest.mark.django_db(transaction=True)
def test_a_database_is_migrated_and_with_an_option_seeded_afterwards(capsys):
    echo = Echo()
    echo.main("migrate", "--skip-checks")
    assert echo.done == []
    assert "Running migrations:" in capsys.readouterr().out
    echo.main("migrate", "--skip-checks", "--seed")
    assert echo.done == [("seed", [])]
    assert "Running migrations:" in capsys.readouterr().out


def test_manage_is_django_s_own_command_line(capsys):
    Echo().main("manage", "diffsettings")
    assert "STATIC_URL = '/static/'" in capsys.readouterr().out


def test_the_health_of_a_web_server_is_its_answer(capsys):
    echo = Echo()
    with pytest.raises(SystemExit) as ended:
        echo.main("health", "web")
    assert ended.value.code == 1
    assert f":{echo.service.port}/health" in capsys.readouterr().out
    assert echo.done == []


def test_the_health_of_another_process_is_that_of_its_database():
    echo = Echo(chain=OutsideError("not asked"))
    with pytest.raises(SystemExit) as ended:
        echo.main("health", "keep")
    assert ended.value.code == 0
    assert echo.done == ["database"]
    with pytest.raises(OutsideError):
        Echo(database=OutsideError("away")).main("health", "keep")
