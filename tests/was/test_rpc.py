"""XML-RPC, against the server of the standard library in a process of its own and against hostile peers."""

from __future__ import annotations

import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest

from skitai import was
from skitai.errors import RequestFailed
from skitai.was._context import Context
from skitai.wire import clusters
from skitai.wire.outcomes import UnreadableBody

from .conftest import Link, Peers, Received

SERVER = """
import sys
from xmlrpc.server import SimpleXMLRPCServer
server = SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, allow_none=True)
server.register_introspection_functions()
server.register_function(lambda *args: list(args), "echo")
server.register_function(lambda a, b: a + b, "math.add")
server.register_function(lambda: sys.argv[1], "getwait")
def boom(): raise ValueError("boom")
server.register_function(boom)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[str]]:
    """Addresses of two XML-RPC servers."""
    processes = [
        subprocess.Popen([sys.executable, "-c", SERVER, name], stdout=subprocess.PIPE, text=True) for name in "ab"
    ]
    yield [f"127.0.0.1:{int(process.stdout.readline())}" for process in processes if process.stdout]
    for process in processes:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.mark.row("WAS-RPC-01", "WAS-REQ-10")
def test_attributes_are_remote_methods(servers: list[str]) -> None:
    stub = was.rpc(f"http://{servers[0]}/RPC2")
    assert stub.echo(1, "ä", None, [True], {"a": 1.5}).getwait(5).data == [1, "ä", None, [True], {"a": 1.5}]
    assert stub.math.add(2, 3).getwait(5).data == 5
    assert "math.add" in stub.system.listMethods().getwait(5).data
    first, second = stub.echo(1), stub.echo(2)
    assert (first.getwait(5).data, second.getwait(5).data) == ([1], [2])


@pytest.mark.row("WAS-RPC-02", "WAS-REQ-09")
def test_waiting_on_the_stub_means_its_last_call(servers: list[str]) -> None:
    stub = was.rpc(f"http://{servers[0]}/")
    stub.echo("x")
    result = stub.getwait(5)
    assert result.data == ["x"]
    assert (stub.code, stub.status) == (200, 3)
    assert stub.getswait(5).data == ["x"]
    assert stub.wait(5) is None
    stub.cache(60)
    assert was.rpc(f"http://{servers[0]}/").echo("x").getwait(5).is_cached


def test_before_its_first_call_a_stub_has_remote_methods_only(servers: list[str]) -> None:
    assert was.rpc(f"http://{servers[0]}/").getwait().getwait(5).data == "a"


@pytest.mark.row("WAS-RES-21")
def test_a_fault_surfaces_with_the_data(servers: list[str]) -> None:
    result = was.rpc(f"http://{servers[0]}/").boom().getwait(5, reraise=True)
    assert (result.status, result.code) == (3, 200)
    for _ in range(2):
        with pytest.raises(xmlrpc.client.Fault, match="boom"):
            _ = result.data
    result.cache(60)
    with pytest.raises(xmlrpc.client.Fault, match="boom"):
        _ = was.rpc(f"http://{servers[0]}/").boom().getwait(5).data


@pytest.mark.row("WAS-RES-17")
def test_a_result_iterates_its_data(servers: list[str]) -> None:
    result = was.rpc(f"http://{servers[0]}/").echo([1, 2], [3, 4]).getwait(5)
    assert [a + b for a, b in result] == [3, 7]
    assert (len(result), result[1]) == (2, [3, 4])


@pytest.mark.row("WAS-RPC-03", "WAS-RPC-04")
def test_lb_and_map(servers: list[str]) -> None:
    clusters.define("@mysearch", "http", servers)
    assert [was.rpc.lb("@mysearch/RPC2").getwait().getwait(5).data for _ in range(4)] == ["a", "b", "a", "b"]
    assert was.rpc("@mysearch/RPC2").echo(1).getwait(5).data == [1]
    stub = was.rpc.map("@mysearch/RPC2")
    results = stub.echo("x").getswait(5)
    assert results.data == [["x"], ["x"]]
    assert [member for result in results for member in result.data] == ["x", "x"]
    results.cache(60)
    assert was.rpc.map("@mysearch/RPC2").echo("x").getswait(5).is_cached


def test_kept_results_are_not_shared(servers: list[str]) -> None:
    stub = was.rpc(f"http://{servers[0]}/")
    first = stub.echo("x").getwait(5)
    first.cache(60)
    first.data.append("y")
    second = stub.echo("x").getwait(5)
    second.data.append("z")
    assert stub.echo("x").getwait(5).data == ["x"]


def test_what_is_sent(peers: Peers, in_request: Context) -> None:
    def answer(received: Received, link: Link) -> None:
        params, name = xmlrpc.client.loads(received.body)
        link.reply(xmlrpc.client.dumps(((name, list(params)),), methodresponse=True).encode())

    peer = peers.http(answer)
    stub = in_request.rpc(peer.url("/rpc2"), auth=("tok",), headers={"X-A": "1"}, use_cache=False)
    assert stub.a.b(5).getwait(5).data == ["a.b", [5]]
    request = peer.received[0]
    assert (request.method, request.target) == ("POST", "/rpc2")
    assert request.header("content-type") == "text/xml"
    assert request.header("authorization") == "Bearer tok"
    assert request.header("x-a") == "1"
    assert request.header("cache-control") == "no-cache"
    assert request.header("x-ltxn-id") == "1001"


def test_an_answer_with_another_code_is_a_plain_one(peers: Peers) -> None:
    result = was.rpc(peers.saying(b"not here", "404 Not Found").url()).method().getwait(5)
    assert (result.status, result.code, result.data) == (3, 404, b"not here")


HOSTILE = [
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "a"><!ENTITY b "&a;&a;">]><methodResponse><params><param><value>'
    b"<string>&b;</string></value></param></params></methodResponse>",
    b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><methodResponse><params><param><value><string>&a;</string>'
    b"</value></param></params></methodResponse>",
    b"<html>",
    b"",
    b"\xff\xfe",
    b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>",
]


@pytest.mark.parametrize("document", HOSTILE)
def test_a_hostile_document_gives_status_2(peers: Peers, document: bytes) -> None:
    result = was.rpc(peers.saying(document, "200 OK", "Content-Type: text/xml").url()).method().getwait(5)
    assert (result.status, result.code, result.data) == (2, 717, None)
    assert isinstance(result.error, UnreadableBody)
    with pytest.raises(RequestFailed, match="717"):
        result.reraise()


def test_values_that_cannot_be_marshalled(peers: Peers) -> None:
    for value in (object(), 2**40, {1: 2}):
        result = was.rpc(peers.saying(b"").url()).method(value).getwait(5)
        assert (result.status, result.code) == (2, 731)


def test_python_names_are_not_remote_methods() -> None:
    stub: Any = was.rpc("http://127.0.0.1/")
    with pytest.raises(AttributeError):
        _ = stub.__wrapped__
    with pytest.raises(AttributeError):
        _ = stub.method.__wrapped__
    assert repr(stub) == "<RpcStub http://127.0.0.1/>"
    assert "system.listMethods" in repr(stub.system.listMethods)
