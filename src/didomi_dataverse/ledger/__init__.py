"""Stage 2: what we know of each contact, stored durably. SQL, and nothing but SQL.

`ledger.py` opens a store and holds one port for each kind of user: `ingest.py` for what receives, `claims.py`
for what delivers, `replicas.py`, `maintenance.py`, `queries.py` and `commands.py`.
"""
