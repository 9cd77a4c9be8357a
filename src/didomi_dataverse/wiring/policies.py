"""From the configuration to the policies that pure functions take, and to fingerprints of its parts."""

import hashlib
import json

from didomi_dataverse.config.settings import Settings
from didomi_dataverse.delivery.write_flow import MatchBy, MatchPolicy, OnMany
from didomi_dataverse.didomi.identity import Normalization
from didomi_dataverse.didomi.interpret import InterpretationPolicy, OnUserDeleted
from didomi_dataverse.mapping.rules import mapped_regulations
from didomi_dataverse.wiring.configuration import Configuration


def match_policy(settings: Settings) -> MatchPolicy:
    """How the row of a person is found, and whether it may be created."""
    contact = settings.contact
    match = contact.match
    if match.contactid:
        by, column = MatchBy.CONTACT_ID, ""
    elif match.alternate_key is not None:
        by, column = MatchBy.ALTERNATE_KEY, match.alternate_key
    else:
        by, column = MatchBy.COLUMN, match.column or ""
    return MatchPolicy(
        by=by,
        column=column,
        upsert=contact.upsert,
        on_many=OnMany(contact.on_many),
        on_create=contact.on_create,
    )


def target_fingerprint(settings: Settings) -> str:
    """Identifies the target: the environment, and how rows are found in it. What one target confirmed says
    nothing about another.
    """
    match = settings.contact.match.model_dump(mode="json")
    return hashlib.sha256(json.dumps([settings.dataverse.url, match], sort_keys=True).encode()).hexdigest()


def mapping_fingerprint(configuration: Configuration) -> str:
    """Identifies what decides the columns of known contacts: the mapping, and what happens when no row
    matches, or several do. When it changes, every contact is mapped again.
    """
    contact = configuration.settings.contact
    return f"{configuration.mapping.fingerprint}:{contact.upsert}:{contact.on_many}"


def interpretation_policy(configuration: Configuration) -> InterpretationPolicy:
    """How notifications are interpreted."""
    settings = configuration.settings
    match = settings.contact.match
    return InterpretationPolicy(
        organization_id=settings.didomi.organization_id,
        mapped_regulations=mapped_regulations(configuration.mapping),
        normalize=Normalization.GUID if match.contactid else Normalization(match.normalize),
        on_user_deleted=OnUserDeleted(settings.didomi.on_user_deleted),
    )
