"""The policies of pure functions are those of the configuration; fingerprints change when they must."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from didomi_dataverse.config.settings import Contact, Didomi, Match
from didomi_dataverse.config.types import Section
from didomi_dataverse.delivery.write_flow import MatchBy, MatchPolicy, OnMany
from didomi_dataverse.didomi.identity import Normalization
from didomi_dataverse.didomi.interpret import OnUserDeleted
from didomi_dataverse.wiring.configuration import Configuration, load_configuration
from didomi_dataverse.wiring.policies import (
    interpretation_policy,
    mapping_fingerprint,
    match_policy,
    target_fingerprint,
)

CONFIG = """
didomi: { auth: { anonymous: true } }
dataverse: { url: "https://example.crm4.dynamics.com", tenant_id: t, client_id: c, client_secret: s }
contact: { match: { alternate_key: new_didomikey } }
mapping: { gdpr: { purposes: { newsletter: new_newsletter } } }
"""


def configured(folder: Path, old: str = "", new: str = "") -> Configuration:
    """The configuration above, with one text replaced."""
    assert old in CONFIG
    path = folder / "config.yaml"
    path.write_text(CONFIG.replace(old, new))
    return load_configuration(path, {})


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        pytest.param(
            "match: { alternate_key: new_didomikey }",
            MatchPolicy(by=MatchBy.ALTERNATE_KEY, column="new_didomikey"),
            id="alternate key",
        ),
        pytest.param(
            "match: { column: emailaddress1 }, on_many: all",
            MatchPolicy(by=MatchBy.COLUMN, column="emailaddress1", on_many=OnMany.ALL),
            id="any column",
        ),
        pytest.param("match: { contactid: true }", MatchPolicy(by=MatchBy.CONTACT_ID), id="the row's GUID"),
        pytest.param(
            "match: { alternate_key: new_didomikey }, upsert: true, on_create: { lastname: Unknown }",
            MatchPolicy(
                by=MatchBy.ALTERNATE_KEY,
                column="new_didomikey",
                upsert=True,
                on_create={"lastname": "Unknown"},
            ),
            id="rows may be created",
        ),
    ],
)
def test_rows_are_found_as_configured(tmp_path: Path, contact: str, expected: MatchPolicy) -> None:
    settings = configured(tmp_path, "match: { alternate_key: new_didomikey }", contact).settings

    assert match_policy(settings) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param("alternate_key: new_didomikey", Normalization.LITERAL, id="as it comes"),
        pytest.param(
            "alternate_key: new_didomikey, normalize: email", Normalization.EMAIL, id="as configured"
        ),
        pytest.param("contactid: true", Normalization.GUID, id="a contactid is a GUID"),
    ],
)
def test_identifiers_are_normalized_as_the_key_needs(
    tmp_path: Path, match: str, expected: Normalization
) -> None:
    configuration = configured(tmp_path, "alternate_key: new_didomikey", match)

    policy = interpretation_policy(configuration)

    assert (policy.normalize, policy.on_user_deleted) == (expected, OnUserDeleted.UNSET)
    assert policy.mapped_regulations == {"gdpr"}


@pytest.mark.parametrize(
    ("old", "new", "is_other_target", "is_other_mapping"),
    [
        pytest.param("client_secret: s", "client_secret: renewed", False, False, id="secret"),
        pytest.param("example.crm4", "example.crm5", True, False, id="environment"),
        pytest.param("new_didomikey }", "new_other }", True, False, id="key"),
        pytest.param("newsletter: new_newsletter", "newsletter: new_news", False, True, id="mapping"),
        pytest.param("new_didomikey } }", "new_didomikey }, upsert: true }", False, True, id="upsert"),
        pytest.param("new_didomikey } }", "new_didomikey }, on_many: all }", False, True, id="on_many"),
    ],
)
def test_a_fingerprint_changes_with_what_it_stands_for(
    tmp_path: Path, old: str, new: str, is_other_target: bool, is_other_mapping: bool
) -> None:
    before, after = configured(tmp_path), configured(tmp_path, old, new)

    assert (target_fingerprint(before.settings) != target_fingerprint(after.settings)) == is_other_target
    assert (mapping_fingerprint(before) != mapping_fingerprint(after)) == is_other_mapping


@pytest.mark.parametrize(
    ("section", "key", "policy"),
    [
        pytest.param(Contact, "on_many", match_policy, id="contact.on_many"),
        pytest.param(Match, "normalize", interpretation_policy, id="contact.match.normalize"),
        pytest.param(Didomi, "on_user_deleted", interpretation_policy, id="didomi.on_user_deleted"),
    ],
)
def test_every_word_of_a_setting_is_a_member_of_its_enum(
    section: type[Section], key: str, policy: Callable[..., Any]
) -> None:
    """Two types, because the settings are below every package that acts on them."""
    words = get_args(section.model_fields[key].annotation)
    members: type[StrEnum] = get_type_hints(get_type_hints(policy)["return"])[key]

    assert set(words) == {member.value for member in members}
