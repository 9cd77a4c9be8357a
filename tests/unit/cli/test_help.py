"""Every command and group has help: a short line for the list, examples that work, and the exit status."""

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from tests.repository import ROOT

from didomi_dataverse.cli.help import EXIT_STATUS
from didomi_dataverse.cli.main import COMMANDS, main

PROGRAM = "didomi-dataverse "


def find_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """The command and all below it, by what is typed after the program's name."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from find_commands(found, (*path, name))


ALL = dict(find_commands(main))


def find_examples(command: click.Command) -> list[str]:
    lines = [line.strip() for line in (command.epilog or "").splitlines()]
    return [line.removeprefix(PROGRAM) for line in lines if line.startswith(PROGRAM)]


def test_the_table_names_every_file_of_a_command() -> None:
    shared = {"__init__", "help", "main", "options", "output", "ledger"}
    files = {file.stem for file in (ROOT / "src/didomi_dataverse/cli").glob("*.py")} - shared

    assert files == set(COMMANDS)
    assert set(main.list_commands(click.Context(main))) == set(COMMANDS)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path or "didomi-dataverse")
def test_every_command_has_help_with_an_example(path: str) -> None:
    result = CliRunner().invoke(main, [*path.split(), "--help"])

    assert result.exit_code == 0, result.output
    assert find_examples(ALL[path])
    for example in find_examples(ALL[path]):
        assert f"  {PROGRAM}{example}\n" in result.output
        assert example.startswith(path)


@pytest.mark.parametrize("path", [path for path in ALL if path], ids=lambda path: path)
def test_the_first_sentence_fits_into_the_list_of_commands(path: str) -> None:
    command = ALL[path]

    assert not command.get_short_help_str().endswith("...")


@pytest.mark.parametrize("path", ALL, ids=lambda path: path or "didomi-dataverse")
def test_an_example_uses_commands_and_options_that_there_are(path: str) -> None:
    for example in find_examples(ALL[path]):
        words = shlex.split(example)
        command: click.Command = main
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, example
            command = found
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= known, example


def test_the_exit_status_is_documented() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert EXIT_STATUS in " ".join(result.output.split())
