"""The catalog: record.py is the published contract, store.py keeps it in SQLite or PostgreSQL (imports sqlalchemy). Import them directly."""
