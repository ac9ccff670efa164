"""Serve a TorchScript digit classifier over HTTP."""

__version__ = "0.1.0"
