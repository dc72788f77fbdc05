"""The bus: the road between the ledger and the handlers; it may lose everything."""
