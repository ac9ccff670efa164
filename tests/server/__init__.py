"""Tests of `service.server`: connections, the drain, and load on a real process."""
