"""The tables of Dataverse that are written to, each with its names in the Web API."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of Dataverse.

    >>> CONTACT.odata_type
    'Microsoft.Dynamics.CRM.contact'
    """

    logical_name: str
    """Its name in metadata, in the singular: `contact`."""

    entity_set: str
    """Its name in URLs, in the plural: `contacts`."""

    id_column: str
    """Its primary key: the column that holds the GUID of a row."""

    @property
    def odata_type(self) -> str:
        """The `@odata.type` of a row of this table in a bulk message (dataverse.md 3.4)."""
        return f"Microsoft.Dynamics.CRM.{self.logical_name}"


CONTACT: Final = Table(logical_name="contact", entity_set="contacts", id_column="contactid")
"""The table that everything is written to."""
