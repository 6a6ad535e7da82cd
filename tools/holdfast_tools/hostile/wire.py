"""BMP and BGP messages of the attacks, written from RFC 7854 and RFC 4271."""

import socket
import struct
from typing import NamedTuple

ROUTE_MONITORING, PEER_DOWN, PEER_UP, INITIATION, TERMINATION = 0, 2, 3, 4, 5
# Optional and transitive, with a two-octet length (RFC 4271 section 4.3).
OPAQUE_FLAGS, OPAQUE_TYPE = 0xD0, 200


class Peer(NamedTuple):
    """A BGP peer of a router."""

    address: str
    asn: int = 65_001
    bgp_id: str = "192.0.2.1"
    distinguisher: int = 0

    def header(self):
        """The per-peer header (RFC 7854 section 4.2) of an Adj-RIB-In, pre-policy."""
        return struct.pack(
            "!BBQ12x4sI4sII",
            0,
            0,
            self.distinguisher,
            socket.inet_aton(self.address),
            self.asn,
            socket.inet_aton(self.bgp_id),
            1_790_000_000,
            0,
        )


def bmp(kind, body):
    """A BMP message: version, length, type, body."""
    return struct.pack("!BIB", 3, len(body) + 6, kind) + body


def tlv(kind, value):
    return struct.pack("!HH", kind, len(value)) + value


def initiation(name, description="hostile"):
    return bmp(INITIATION, tlv(2, name.encode()) + tlv(1, description.encode()))


def bgp(kind, body):
    return b"\xff" * 16 + struct.pack("!HB", len(body) + 19, kind) + body


def opening(asn, bgp_id):
    """An OPEN with IPv4 unicast and four-octet AS numbers."""
    capabilities = b"\x02\x06\x01\x04\x00\x01\x00\x01" + b"\x02\x06\x41\x04" + struct.pack("!I", asn)
    fixed = struct.pack("!BHH4sB", 4, min(asn, 23_456), 180, socket.inet_aton(bgp_id), len(capabilities))
    return bgp(1, fixed + capabilities)


def peer_up(peer):
    body = b"\0" * 12 + socket.inet_aton("192.0.2.254") + struct.pack("!HH", 179, 40_179)
    body += opening(64_500, "192.0.2.254") + opening(peer.asn, peer.bgp_id)
    return bmp(PEER_UP, peer.header() + body)


def peer_down(peer):
    """A Peer Down with reason 4: the remote system closed the session without a notification."""
    return bmp(PEER_DOWN, peer.header() + b"\x04")


def termination():
    """A Termination with reason 0: session administratively closed."""
    return bmp(TERMINATION, tlv(1, b"\0\0"))


def attributes(as_path, filler=b""):
    """ORIGIN, AS_PATH with four-octet numbers, NEXT_HOP, and an opaque attribute with `filler`."""
    segments = b""
    for at in range(0, len(as_path), 255):
        part = as_path[at : at + 255]
        segments += struct.pack("!BB", 2, len(part)) + struct.pack(f"!{len(part)}I", *part)
    out = b"\x40\x01\x01\x00" + struct.pack("!BBH", 0x50, 2, len(segments)) + segments
    out += b"\x40\x03\x04" + socket.inet_aton("192.0.2.1")
    if filler:
        out += struct.pack("!BBH", OPAQUE_FLAGS, OPAQUE_TYPE, len(filler)) + filler
    return out


def update(peer, host, attribute_bytes):
    """A Route Monitoring message that announces one IPv4 /32; `host` are its four octets."""
    body = struct.pack("!HH", 0, len(attribute_bytes)) + attribute_bytes + b"\x20" + host
    return bmp(ROUTE_MONITORING, peer.header() + bgp(2, body))
