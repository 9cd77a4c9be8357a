"""The Dataverse Web API on the Contact table: URLs, bodies, queries, batches, bulk messages."""
