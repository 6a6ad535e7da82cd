"""The table of the scenario "churn-small": what each announcer announces, as plain data.

Everything is a function of an index, so that two runs announce the same. One Route is the truth of what was
asked of the announcer; scenario.py writes it down as JSON lines and turns it into the announcer's own syntax.
"""

import dataclasses
import typing

PEER1, PEER2 = "127.0.0.21", "127.0.0.22"
ASN = {PEER1: 65001, PEER2: 65002}
# The monitored router's import policy: reject one prefix, change all others.
REJECTED = "10.0.5.0/24"
LOCAL_PREF, ADDED_COMMUNITY = 222, "65000:1"
# How many routes peer 1 has of each family; the live comparison sets thousands.
IPV4, IPV6 = 400, 150
# With ADD-PATH each route of peer 1 is path 1, and fifty of the IPv4 prefixes have a path 2.
ADD_PATH = False
# Six neighbouring prefixes share one set of attributes, as in real tables.
SHARED = 6


@dataclasses.dataclass(frozen=True)
class Route:
    """One announced route."""

    peer: str
    afi: int
    safi: int
    prefix: typing.Optional[str]
    next_hop: str
    # AS numbers as the peer sends them, its own first; a tuple inside is an AS_SET.
    as_path: tuple
    origin: str
    med: typing.Optional[int]
    communities: tuple = ()
    large_communities: tuple = ()
    # Route targets "AS:number"
    route_targets: tuple = ()
    # EVPN: route type and the other fields in the announcer's syntax
    evpn_route_type: typing.Optional[int] = None
    evpn: tuple = ()
    path_id: typing.Optional[int] = None

    def as_json(self):
        """The fields that are set; the announcer's EVPN syntax as fields."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, ())}
        if self.evpn:
            del fields["evpn"]
            fields.update(evpn_fields(self.evpn))
        return fields


def evpn_fields(words):
    """RFC 7432 fields from the announcer's syntax."""
    words = list(words)
    kind = words.pop(0)
    fields = {"rd": words[words.index("rd") + 1], "evpn_esi": None, "evpn_tag": None}
    if "etag" in words:
        fields["evpn_tag"] = int(words[words.index("etag") + 1])
    # Type 1 begins with its segment, the word "esi" is its kind in type 4.
    if "LACP" in words:
        at = words.index("LACP")
        fields["evpn_esi"] = "01:{}:{:02x}:{:02x}:00".format(words[at + 1], *divmod(int(words[at + 2]), 256))
    elif kind in ("macadv", "prefix"):
        fields["evpn_esi"] = ":".join(["00"] * 10)
    if kind == "macadv":
        # The announcer takes 0.0.0.0 for "no address".
        fields.update(mac_address=words[0], evpn_ip=None if words[1] == "0.0.0.0" else words[1])
    elif kind in ("multicast", "esi"):
        fields["evpn_ip"] = words[0]
    elif kind == "prefix":
        fields.update(evpn_prefix=words[0])
    return {key: value for key, value in fields.items() if value is not None}


def peer1_route(afi, prefix, index, version=0, path_id=1):
    """Route number `index` of peer 1; another version has other attributes."""
    group = index // SHARED + 100 * version
    path = [65001, 64496 + group % 15, 4200000000 + group]
    if group % 2:
        path.append(3356)
    if group % 4 == 3:
        path.append(23457)
    if group % 11 == 5:
        path.append((64500, 4200000500))
    return Route(
        peer=PEER1,
        afi=afi,
        safi=1,
        prefix=prefix,
        next_hop="192.0.2.1" if afi == 1 else "2001:db8:ffff::21",
        as_path=tuple(path),
        origin=("igp", "egp", "incomplete")[group % 3],
        med=None if group % 5 == 4 else 4294967295 if group % 7 == 3 else group * 10,
        communities=("65001:%d" % group, "65001:65535")[: group % 3],
        large_communities=("4200000000:%d:4294967295" % group, "65001:1:2")[: 1 + group % 2]
        if group % 5 == 0
        else (),
        route_targets=("65001:%d" % group,) if group % 4 == 1 else (),
        path_id=path_id if ADD_PATH else None,
    )


def peer1_table():
    ipv4 = ["0.0.0.0/0", "198.51.100.1/32", "172.16.0.0/12", "198.51.100.128/25"]
    ipv4 += ["10.%d.%d.0/24" % divmod(i, 256) for i in range(IPV4 - len(ipv4))]
    ipv6 = ["::/0", "2001:db8:ffff::1/128", "2001:db8::/33", "2001:db8:fffe:8000::/49"]
    ipv6 += ["2001:db8:%x::/48" % (0x8000 + i) for i in range(IPV6 - len(ipv6))]
    more = [peer1_route(1, p, i, version=2, path_id=2) for i, p in enumerate(ipv4[10:60])] if ADD_PATH else []
    return (
        [peer1_route(1, p, i) for i, p in enumerate(ipv4)]
        + [peer1_route(2, p, i) for i, p in enumerate(ipv6)]
        + more
    )


def peer1_withdrawn():
    """50 IPv4 and 10 IPv6 routes, in the middle of the table and across sets."""
    table = peer1_table()
    return table[100:150] + table[IPV4 + 20 : IPV4 + 30]


def peer1_replaced():
    """30 IPv4 routes get other attributes."""
    return [
        peer1_route(1, route.prefix, 200 + i, version=1) for i, route in enumerate(peer1_table()[200:230])
    ]


def peer1_last_withdrawn():
    """20 IPv4 routes, withdrawn after the collector's reconnect."""
    return peer1_table()[300:320]


def peer2_table():
    """60 IPv4 and 30 IPv6 routes; the first ten of each are also in peer 1's table."""
    routes = []
    for i in range(60):
        prefix = "10.0.%d.0/24" % (20 + i) if i < 10 else "10.9.%d.0/24" % i
        routes.append(peer2_route(1, prefix, i))
    for i in range(30):
        prefix = "2001:db8:%x::/48" % (0x8000 + 20 + i) if i < 10 else f"2001:db8:9000:{i:x}::/64"
        routes.append(peer2_route(2, prefix, i))
    return routes


def peer2_route(afi, prefix, index):
    group = index // SHARED
    return Route(
        peer=PEER2,
        afi=afi,
        safi=1,
        prefix=prefix,
        next_hop="192.0.2.2" if afi == 1 else "2001:db8:ffff::22",
        as_path=(65002, 4200000000 + group, 64496 + group, 15169)[: 3 + group % 2],
        origin=("igp", "egp", "incomplete")[group % 3],
        med=4294967295 if group == 1 else group,
        communities=("65002:%d" % group,),
        large_communities=("4200000000:2:%d" % group,) if group % 2 else (),
    )


def peer2_evpn():
    """20 routes of type 2, 3 of type 3, 10 of type 5, 2 of type 1, 2 of type 4."""
    routes = []

    def add(kind, next_hop, *words):
        routes.append(
            Route(
                peer=PEER2,
                afi=25,
                safi=70,
                prefix=None,
                next_hop=next_hop,
                as_path=(65002,),
                origin="igp",
                med=None,
                route_targets=("65002:100",),
                evpn_route_type=kind,
                evpn=words,
            )
        )

    for i in range(20):
        # Every fourth without an IP address, one in four with an IPv6 address.
        ip = ("10.20.0.%d" % i, "0.0.0.0", f"2001:db8:20::{i:x}", "10.20.1.%d" % i)[i % 4]
        words = ["macadv", f"02:00:00:00:{i % 4:02x}:{i:02x}", ip]
        if i % 5 == 4:
            words += ["esi", "LACP", "aa:bb:cc:dd:ee:ff", "100"]
        add(
            2,
            "192.0.2.2",
            *words,
            "etag",
            str(i % 3),
            "label",
            str(1000 + i),
            "rd",
            "10.0.0.22:%d" % (100 + i % 2),
        )
    for i in range(3):
        add(
            3, "192.0.2.2", "multicast", "192.0.2.%d" % (20 + i), "etag", str(i), "rd", "65002:%d" % (200 + i)
        )
    for i in range(10):
        prefix = f"2001:db8:50:{i:x}::/64" if i >= 7 else "10.50.%d.0/%d" % (i << 4, 20 + i % 3)
        gateway = "::" if i >= 7 else "0.0.0.0"
        add(
            5,
            "192.0.2.2",
            "prefix",
            prefix,
            "gw",
            gateway,
            "etag",
            "0",
            "label",
            str(5000 + i),
            "rd",
            "10.0.0.22:500",
        )
    for i in range(2):
        add(
            1,
            "192.0.2.2",
            "a-d",
            "esi",
            "LACP",
            f"aa:bb:cc:dd:ee:{i:02x}",
            "100",
            "etag",
            str(i),
            "label",
            "300",
            "rd",
            "10.0.0.22:1",
        )
    for i in range(2):
        add(
            4,
            "192.0.2.2",
            "esi",
            "192.0.2.%d" % (30 + i),
            "esi",
            "LACP",
            f"aa:bb:cc:dd:ee:{i:02x}",
            "100",
            "rd",
            "10.0.0.22:4",
        )
    return routes


def peer2_evpn_withdrawn():
    """Some of each type: five of type 2, one of type 3, two of type 5, one of type 1, one of type 4."""
    table = peer2_evpn()
    return table[2:7] + table[20:21] + table[29:31] + table[33:34] + table[35:36]
