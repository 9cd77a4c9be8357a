"""Writes what people chose in Didomi to the columns of their Contact row in Dataverse.

Start at `docs/path.md`, or read the packages in the order of the path: `didomi`, `ledger`, `mapping`,
`dataverse`, `delivery`. Nothing happens at import: `wiring` builds the parts from the configuration, and
`service.app` starts and stops them.
"""

# The build reads the version from this line, so that it stands in one place and needs no look-up at run time.
__version__ = "0.1.0"
