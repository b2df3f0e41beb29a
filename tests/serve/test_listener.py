"""The socket that connections come to, on its own."""

from __future__ import annotations

import socket
import sys

import pytest

from kogner.errors import InputError
from kogner.serve import listener


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can let connections that have begun come to their end")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_new_connection_begins_and_those_that_have_begun_stay(host):
    try:
        own = listener.bind(host, 0)
    except InputError as error:
        if host == "::1":
            pytest.skip(f"no IPv6 here: {error}")
        raise
    own.listen()
    where = own.getsockname()[:2]
    with own, socket.create_connection(where, timeout=5) as begun:
        assert listener.begin_no_more(own)
        with pytest.raises(TimeoutError):
            socket.create_connection(where, timeout=0.3)
        taken, _ = own.accept()
        own.close()
        with taken:
            begun.sendall(b"asked")
            assert taken.recv(10) == b"asked"
            taken.sendall(b"answered")
            assert begun.recv(10) == b"answered"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=5)


def test_where_the_system_does_not_let_it_is_said():
    own = listener.bind("127.0.0.1", 0)
    own.close()
    assert not listener.begin_no_more(own)
