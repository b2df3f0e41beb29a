"""The socket that connections come to: bound before the model is loaded, and closed so that none is cut."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

from kogner.errors import InputError

ON_THE_WAY = 0.2  # seconds in which a handshake that has begun comes to its end
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, which the socket module has no name for
_SYN, _ACK = 0x02, 0x10
# A classic BPF program (linux/filter.h): code, jump if true, jump if false, operand. A packet begins with its TCP
# header, whose byte 13 has the flags (RFC 9293, 3.1).
_NO_NEW_ONES = (
    (0x30, 0, 0, 13),  # load the byte
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # equal?
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # keep it
)


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet. port: 0 takes a free one.

    Raises InputError where the address is not to be had.
    """
    try:
        ((family, kind, number, _, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        own = socket.socket(family, kind, number)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{host}:{port} cannot be bound: {reason}; take another --host or --port, 0 for a free one"
        ) from None
    return own


def address(own: socket.socket) -> str:
    """Of a bound socket, as a URL."""
    host, port = own.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def begin_no_more(own: socket.socket) -> bool:
    """Let no new connection begin at a socket that listens; those that have begun can still be accepted.

    Closing the socket resets what was connected since the last `accept`. After this there is none: the client's
    system asks again for a second, and is refused once the socket is closed, or finds the server that came after.
    Only Linux can do it: False elsewhere.
    """
    if sys.platform != "linux":
        return False
    steps = b"".join(struct.pack("HBBI", *step) for step in _NO_NEW_ONES)
    program = ctypes.create_string_buffer(steps, len(steps))
    try:
        own.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(_NO_NEW_ONES), ctypes.addressof(program))
        )
    except OSError:  # a kernel without it, or a sandbox that does not let it pass
        return False
    return True
