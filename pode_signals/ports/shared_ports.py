"""Ports that several processes share: how one is shared, and how a process leaves it. It accepts nobody.

With SO_REUSEPORT the kernel gives each process a queue of its own, and chooses one of them when a client begins to
connect. A process that just closed its port would reset the clients in its queue: about one in 250 on a busy port.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from typing import Any

__all__ = ["LEAVING_SECONDS", "refuse_new", "share"]

LEAVING_SECONDS = 0.5
"""How long a process that leaves serves the clients that had begun to connect to it, before it closes its port.

A client whose first packet was dropped sends that packet again after a second (RFC 6298 section 2.1). By then the port
is closed, and another process answers.
"""

# From Linux' asm-generic/socket.h; Python's module socket has no name for it.
_SO_ATTACH_FILTER = 26
# A program for the filter of sockets of Linux, which is given each packet from its TCP header on: instructions of a
# code, two jumps and an operand. A packet that begins a connection has SYN and not ACK among its flags (RFC 9293
# section 3.1): it is dropped, and all others are kept. Connections that are accepted keep the program, but such a
# packet never comes to them.
_NO_NEW_CONNECTIONS = (
    # Load the byte with the flags.
    (0x30, 0, 0, 13),
    # Keep the bits of SYN and ACK.
    (0x54, 0, 0, 0x12),
    # With SYN alone go on with the next instruction, else leave it out.
    (0x15, 0, 1, 0x02),
    # Drop.
    (0x06, 0, 0, 0),
    # Keep the whole packet.
    (0x06, 0, 0, 0xFFFFFFFF),
)


def share(new: socket.socket) -> None:
    """Let other processes of the same user bind the address and port that a socket is going to be bound to.

    Raises:
        OSError: the system can't do this.
    """
    option = getattr(socket, "SO_REUSEPORT", None)
    if option is None:
        raise OSError(errno.ENOPROTOOPT, "this system has no SO_REUSEPORT, by which processes share a port")
    new.setsockopt(socket.SOL_SOCKET, option, 1)


def refuse_new(listening: Any) -> bool:
    """Leave those clients to the other processes that begin to connect from now on.

    Args:
        listening: the listening socket.

    Returns:
        Whether the system can do so: Linux alone can.
    """
    if sys.platform != "linux":
        return False
    instructions = b"".join(struct.pack("=HBBI", *each) for each in _NO_NEW_CONNECTIONS)
    kept = ctypes.create_string_buffer(instructions)
    program = struct.pack("HP", len(_NO_NEW_CONNECTIONS), ctypes.addressof(kept))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True
