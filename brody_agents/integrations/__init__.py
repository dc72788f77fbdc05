"""Accounts of the outside world, one folder a domain."""
