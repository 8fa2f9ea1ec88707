"""The catalog: record.py is the published contract, store.py keeps it in SQLite or PostgreSQL. Import these modules directly."""
