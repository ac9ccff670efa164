"""Measure the service beside its peers, and the choices made inside it."""
