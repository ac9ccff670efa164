"""Serve an image classifier over HTTP."""

__version__ = "0.1.0"
