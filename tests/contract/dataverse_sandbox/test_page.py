"""docs/sandbox.md is complete: options with defaults, control routes, behaviours of faults, privileges."""

import json
import re
from dataclasses import fields

import httpx
import pytest

from dataverse_sandbox.environment.faults import FaultBehaviour
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.users import ALL_PRIVILEGES
from tests.contract.dataverse_sandbox.conftest import CONTROL
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_every_option_is_on_the_page_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `(\w+)`", PAGE, re.MULTILINE))

    assert {name: _value(word) for name, word in told.items()} == {
        switch.name: switch.default for switch in fields(SandboxOptions)
    }


def _value(word: str) -> object:
    return json.loads(word) if re.fullmatch(r"true|false|null|\d+", word) else word


@pytest.mark.parametrize("word", [*FaultBehaviour, *ALL_PRIVILEGES])
def test_every_behaviour_and_privilege_is_on_the_page(word: str) -> None:
    assert re.search(rf"\b{word}\b", PAGE)


async def test_every_control_route_is_on_the_page(api: httpx.AsyncClient) -> None:
    known = (await api.get(f"{CONTROL}/nothing")).json()["error"]

    routes = re.findall(r"^\| ((?:`\w+`, )?`\w+ \w+`)", PAGE, re.MULTILINE)
    assert {route.strip("`").rpartition(" ")[2] for route in routes} == set(
        re.findall(r"\w+", known.partition(";")[2])
    ) - {"are", "known"}
