"""Tests of `service.api`: the routes, through the HTTP of a real server."""
