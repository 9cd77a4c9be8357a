"""Stage 4: how column values are said to Dataverse, and how its answers are read."""
