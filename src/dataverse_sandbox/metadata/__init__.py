"""What the Web API tells of the table: `$metadata` and `EntityDefinitions`."""
