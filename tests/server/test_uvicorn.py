"""What the protocol and the server rely on in uvicorn beyond its documented interface is still there."""

from __future__ import annotations

import inspect

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl

PROTOCOL = """
    on_message_begin on_headers_complete on_message_complete on_response_complete on_body data_received
    send_400_response connection_made connection_lost shutdown _start_asgi_task
"""
PROTOCOL_STATE = """
    config server_state transport flow parser pipeline cycle scope url headers expect_100_continue
    message_event response_complete response_started disconnected keep_alive body write_paused default_headers
"""
SERVER = "startup shutdown on_tick run"
SERVER_STATE = "servers force_exit server_state config connections"


@pytest.mark.parametrize("name", PROTOCOL.split())
def test_the_protocol_has_the_methods_that_ours_replaces_or_calls(name):
    assert hasattr(httptools_impl.HttpToolsProtocol, name), f"uvicorn's HTTP protocol has no {name} any more"


@pytest.mark.parametrize("name", PROTOCOL_STATE.split())
def test_the_protocol_and_its_cycle_use_the_attributes_that_ours_uses(name):
    source = inspect.getsource(httptools_impl)

    assert name in source, f"uvicorn's HTTP protocol does not use {name} any more"


@pytest.mark.parametrize("name", SERVER.split())
def test_the_server_has_the_methods_that_ours_replaces(name):
    assert hasattr(uvicorn.Server, name), f"uvicorn's Server has no {name} any more"


@pytest.mark.parametrize("name", SERVER_STATE.split())
def test_the_server_uses_the_attributes_that_ours_uses(name):
    assert f"self.{name}" in inspect.getsource(uvicorn.server), f"uvicorn's Server has no {name} any more"


def test_status_lines_are_ready_for_every_status():
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
