"""Every command has a help, under both its names, that says what each option is for."""

import pytest
import typer
from typer.testing import CliRunner

from compute_horde_sdk import __version__
from compute_horde_sdk.cli import options
from compute_horde_sdk.cli.commands import app

COMMANDS = sorted(typer.main.get_command(app).commands)


def invoke(*words):
    return CliRunner().invoke(app, words)


def test_the_version_is_printed():
    done = invoke("--version")
    assert (done.exit_code, done.stdout) == (0, f"compute-horde {__version__}\n")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_both_spellings_of_help_say_the_same(command):
    short, long = invoke(*command, "-h"), invoke(*command, "--help")
    assert short.exit_code == long.exit_code == 0
    assert short.stdout == long.stdout
    assert "USER_HOTKEY_FILE" in short.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name):
    command = typer.main.get_command(app).commands[name]
    assert [option.name for option in command.params if not option.help] == []


@pytest.mark.parametrize(
    ("option", "words", "why"),
    [
        ("-e", ["A=1", "A=2"], "-e 'A=1' and -e 'A=2' clash: both set 'A'"),
        ("-i", ["a:x", "a:y"], "-i 'a:x' and -i 'a:y' clash: both send 'a'"),
        ("-o", ["a:x", "a:y"], "-o 'a:x' and -o 'a:y' clash: both save 'a'"),
    ],
)
def test_options_that_clash_are_both_named_with_the_reason(option, words, why):
    with pytest.raises(typer.BadParameter) as caught:
        options.pairs(words, option)
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("option", "word", "advice"),
    [
        ("-e", "=x", "the variable's name is missing, as in -e NAME=x"),
        ("-e", "=", "the variable's name is missing"),
        ("-e", "A", 'use -e A="$A"'),
        ("-i", ":x", "the local file, folder or URL is missing, as in -i ./NAME:x"),
        ("-i", "a:", "as in -i a:NAME"),
        ("-o", ":x", "as in -o NAME:x, or -o .:x for all"),
        ("-o", "a", "as in -o a:./NAME"),
    ],
)
def test_an_option_with_one_side_says_which_one_is_missing(option, word, advice):
    with pytest.raises(typer.BadParameter) as caught:
        options.pairs([word], option)
    assert advice in caught.value.message


def test_a_limit_that_earlier_stages_may_extend_says_so():
    shown = " ".join(invoke("run", "--help").stdout.split())
    assert "what inputs and run leave is added" in shown
