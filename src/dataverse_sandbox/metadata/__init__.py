"""What the Web API states about the table: `$metadata` and `EntityDefinitions`."""
