"""The ledger: the truth about messages, runs, actions and items, in SQLite or PostgreSQL."""
