"""The examples in docstrings are true."""

import doctest
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import pytest

import dataverse_sandbox
import didomi_dataverse
import didomi_sandbox


def modules_with_examples() -> Iterator[str]:
    for package in (didomi_dataverse, dataverse_sandbox, didomi_sandbox):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__") or ".migrations" in found.name:
                continue
            if any(test.examples for test in doctest.DocTestFinder().find(import_module(found.name))):
                yield found.name


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_the_examples_of_a_module_are_true(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    failed, tried = doctest.testmod(import_module(name))

    assert tried
    assert not failed, capsys.readouterr().out
