"""Tests of `training`: its command as a person runs it, and its parts."""
