"""Didomi, the ledger and Dataverse compared and repaired. Nothing is here yet."""
