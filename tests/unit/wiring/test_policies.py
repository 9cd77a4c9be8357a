"""The settings and the service name the same closed sets: settings in words, the service by enums."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import pytest

from didomi_dataverse.config.settings import Contact, Didomi, Match
from didomi_dataverse.config.types import Section
from didomi_dataverse.wiring.policies import match_policy, reading_policy


@pytest.mark.parametrize(
    ("section", "key", "policy"),
    [
        pytest.param(Contact, "on_many", match_policy, id="contact.on_many"),
        pytest.param(Match, "normalize", reading_policy, id="contact.match.normalize"),
        pytest.param(Didomi, "on_user_deleted", reading_policy, id="didomi.on_user_deleted"),
    ],
)
def test_every_word_of_a_setting_is_a_member_of_its_enum(
    section: type[Section], key: str, policy: Callable[..., Any]
) -> None:
    """Two types, because the settings are below every package that acts on them."""
    words = get_args(section.model_fields[key].annotation)
    members: type[StrEnum] = get_type_hints(get_type_hints(policy)["return"])[key]

    assert set(words) == {member.value for member in members}
