"""Providers of this domain and the protocol that they implement."""
