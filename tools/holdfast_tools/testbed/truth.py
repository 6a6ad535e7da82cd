"""Makes the ground truth of recorded BMP captures with tshark, and checks it against the announcers.

    truth.py FOLDER...        each FOLDER is one router's: 1.bmp.gz, 2.bmp.gz, announced.jsonl.gz,
    capture.json truth.py --lines FILE     only decode a BMP stream: one JSON line per Route Monitoring
    message on stdout

The first form writes into each folder
    N.truth.jsonl.gz    one JSON line per NLRI of connection N, in order
    expected.json       per connection: messages by type, peers up and down, routes by view and family,
                        End-of-RIB, and how many routes each table holds at the end of each step
and fails if the capture does not show what the announcers were told to announce, or if the router's own
tables (show.jsonl.gz) hold other prefixes. Nothing here uses Holdfast's decoder. Needs tshark (the
environment's TSHARK, else that of the PATH; `tools/testbed/tshark path` has one), else standard library.
"""

import collections
import contextlib
import gzip
import ipaddress
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

from . import routes

PORT = 11019
TSHARK = os.environ.get("TSHARK", "tshark")
MESSAGES = (
    "route-monitoring",
    "statistics-report",
    "peer-down",
    "peer-up",
    "initiation",
    "termination",
    "route-mirroring",
)
FAMILY_NAMES = {(1, 1): "ipv4", (2, 1): "ipv6", (25, 70): "evpn"}
ATTRIBUTE = "bgp.update.path_attribute."


# ---- bytes to messages to pcap -------------------------------------------------------------------


def split(stream):
    """BMP messages by the length of their header (RFC 7854 section 4.1). Returns them and the rest."""
    messages, offset = [], 0
    while offset + 6 <= len(stream):
        length = struct.unpack_from(">I", stream, offset + 1)[0]
        if length < 6 or offset + length > len(stream):
            break
        messages.append(stream[offset : offset + length])
        offset += length
    return messages, stream[offset:]


def write_pcap(path, messages):
    """One raw IP packet per message, so that packet number - 1 is the index of the message."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        sequence = 1
        for number, message in enumerate(messages):
            length = 40 + len(message)
            assert length <= 65535, "a message longer than an IP packet"
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, length, 0, 0, 64, 6, 0, 0x7F000001, 0x7F000001)
            tcp = struct.pack(">HHIIBBHHH", 40000, PORT, sequence & 0xFFFFFFFF, 0, 0x50, 0x18, 65535, 0, 0)
            out.write(struct.pack("<IIII", number, 0, length, length) + ip + tcp + message)
            sequence += len(message)


def decode(messages):
    """tshark's decode, one XML element per message."""
    if not shutil.which(TSHARK):
        raise SystemExit(f"truth: {TSHARK} not found; run: apt-get install tshark")
    with tempfile.TemporaryDirectory(prefix="hf-truth-") as folder:
        path = pathlib.Path(folder) / "stream.pcap"
        write_pcap(path, messages)
        # -n: no names for addresses. Own configuration folder: a user's preferences must not count.
        command = [TSHARK, "-n", "-r", str(path), "-d", f"tcp.port=={PORT},bmp", "-T", "pdml"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": folder, "LC_ALL": "C"},
        ) as tshark:
            for _, element in ElementTree.iterparse(tshark.stdout):
                if element.tag == "packet":
                    yield element
                    element.clear()
        if tshark.returncode:
            raise SystemExit(f"truth: tshark failed ({tshark.returncode})")


# ---- one message ---------------------------------------------------------------------------------


def find(element, name):
    return next((field for field in element.iter("field") if field.get("name") == name), None)


def show(element, name):
    field = find(element, name)
    return None if field is None else field.get("show")


def number(element, name):
    text = show(element, name)
    return None if text is None else int(text, 0)


def peer_header(bmp):
    kind = number(bmp, "bmp.peer.type")
    if kind is None:
        return None
    flags = number(bmp, "bmp.peer.flags")
    if kind == 3:
        rib = "loc-rib"
    else:
        rib = ("adj-out-" if flags & 0x10 else "adj-in-") + ("post" if flags & 0x40 else "pre")
    address = show(bmp, "bmp.peer.ip.addr") or show(bmp, "bmp.peer.ipv6.addr")
    return {
        "peer_type": kind,
        "peer_flags": flags,
        "peer_distinguisher": find(bmp, "bmp.peer.distinguisher").get("value"),
        "peer_address": address,
        "peer_asn": number(bmp, "bmp.peer.asn"),
        "peer_bgp_id": show(bmp, "bmp.peer.id"),
        "rib": rib,
        "timestamp": number(bmp, "bmp.peer.timestamp.sec") * 1000000 + number(bmp, "bmp.peer.timestamp.msec"),
    }


def unicast(container):
    """The prefixes of a list of NLRI: fields without a name, "prefix/length", with the parts inside."""
    for field in container.findall("field"):
        if field.get("name") == "" and "/" in (field.get("show") or ""):
            path_id = next((child for child in field if (child.get("name") or "").endswith("path_id")), None)
            # Host bits are not part of a prefix; tshark prints the bytes as they came.
            yield {
                "path_id": None if path_id is None else int(path_id.get("show")),
                "prefix": str(ipaddress.ip_network(field.get("show"), strict=False)),
            }


def evpn(container):
    for field in container.findall("field"):
        if field.get("name") != "bgp.evpn.nlri":
            continue
        kind = number(field, "bgp.evpn.nlri.rt")
        address = show(field, "bgp.evpn.nlri.ip.addr") or show(field, "bgp.evpn.nlri.ipv6.addr")
        length = number(field, "bgp.evpn.nlri.prefix_len")
        rd = find(field, "bgp.evpn.nlri.rd")
        yield {
            "path_id": None,
            "evpn_route_type": kind,
            "rd": (rd is not None and re.search(r"\((.*)\)", rd.get("showname")).group(1)) or None,
            "evpn_esi": show(field, "bgp.evpn.nlri.esi"),
            "evpn_tag": number(field, "bgp.evpn.nlri.etag"),
            "mac_address": show(field, "bgp.evpn.nlri.mac_addr"),
            "evpn_ip": None if kind == 5 else address,
            "evpn_prefix": f"{address}/{length}" if kind == 5 else None,
        }


def labelled(container):
    """Prefixes with labels, and with a route distinguisher in the VPN families."""
    for field in container.findall("field"):
        length = next(
            (int(part.get("show")) for part in field if part.get("name") == "bgp.prefix_length"), None
        )
        if length is None:
            continue
        address = next(
            (part.get("show") for part in field if re.search(r"ipv[46](_prefix)?$", part.get("name") or "")),
            None,
        )
        rd, labels = show(field, "bgp.rd"), show(field, "bgp.label_stack") or ""
        labels = [int(label) for label in re.findall(r"\d+", labels)]
        path_id = next(
            (int(part.get("show")) for part in field if (part.get("name") or "").endswith("path_id")), None
        )
        length -= 24 * len(labels) + (64 if rd else 0)
        prefix = (
            str(ipaddress.ip_network(f"{address}/{length}", strict=False))
            if address and length >= 0
            else None
        )
        yield {"path_id": path_id, "prefix": prefix, "rd": rd, "labels": labels}


def nlri(container, safi):
    return evpn(container) if safi == 70 else labelled(container) if safi in (4, 128) else unicast(container)


def attributes(update, packet_bytes):
    """The path attributes; null if the message does not contain one."""
    found = dict.fromkeys(
        (
            "next_hop",
            "as_path",
            "origin",
            "med",
            "local_pref",
            "communities",
            "large_communities",
            "ext_communities",
        )
    )
    for attribute in update.iter("field"):
        if attribute.get("name") != "bgp.update.path_attribute":
            continue
        code = number(attribute, ATTRIBUTE + "type_code")
        if code == 1:
            found["origin"] = ("igp", "egp", "incomplete")[number(attribute, ATTRIBUTE + "origin")]
        elif code == 2:
            found["as_path"] = [
                as_path_segment(field)
                for field in attribute.iter("field")
                if field.get("name") == ATTRIBUTE + "as_path_segment"
            ]
        elif code == 3:
            found["next_hop"] = show(attribute, ATTRIBUTE + "next_hop")
        elif code == 4:
            found["med"] = number(attribute, ATTRIBUTE + "multi_exit_disc")
        elif code == 5:
            found["local_pref"] = number(attribute, ATTRIBUTE + "local_pref")
        elif code == 8:
            found["communities"] = [
                community(field)
                for field in attribute.iter("field")
                if field.get("name") in (ATTRIBUTE + "community", ATTRIBUTE + "community_well_known")
            ]
        elif code == 14:
            hops = [
                field.get("show")
                for field in attribute.iter("field")
                if re.match(r".*mp_reach_nlri\.next_hop\.ipv[46]$", field.get("name"))
            ]
            found["next_hop"] = hops[0] if hops else None
        elif code == 16:
            # tshark splits each community into its parts; where it lies is exact, so take the bytes there.
            places = [
                int(field.get("pos"))
                for field in attribute.iter("field")
                if field.get("name") == "bgp.ext_community"
            ]
            found["ext_communities"] = [packet_bytes[place : place + 8].hex() for place in places]
            types = [
                field.get("value")
                for field in attribute.iter("field")
                if field.get("name") == "bgp.ext_com.type"
            ]
            assert types == [text[:2] for text in found["ext_communities"]], (
                "extended communities lie elsewhere"
            )
        elif code == 32:
            found["large_communities"] = [
                ":".join(show(field, "bgp.large_communities." + part) for part in ("ga", "ldp1", "ldp2"))
                for field in attribute.iter("field")
                if field.get("name") == "bgp.large_communities"
            ]
    return found


def as_path_segment(segment):
    kind = number(segment, ATTRIBUTE + "as_path_segment.type")
    numbers = [
        int(field.get("show"))
        for field in segment
        if field.get("name") in (ATTRIBUTE + "as_path_segment.as4", ATTRIBUTE + "as_path_segment.as2")
    ]
    return [{1: "AS_SET", 2: "AS_SEQUENCE", 3: "AS_CONFED_SEQUENCE", 4: "AS_CONFED_SET"}[kind], numbers]


def community(field):
    parts = [show(field, ATTRIBUTE + "community_as"), show(field, ATTRIBUTE + "community_value")]
    if None in parts:
        value = int(field.get("value"), 16)
        parts = [value >> 16, value & 0xFFFF]
    return "{}:{}".format(*tuple(parts))


def route_events(index, header, update, packet_bytes):
    """One event per NLRI, withdrawals first; and the family if the message is an End-of-RIB."""
    events, families = [], []

    def add(action, afi, safi, items, found):
        for item in items:
            events.append(
                {"msg_index": index, **header, "afi": afi, "safi": safi, "action": action, **item, **found}
            )

    nothing = {}
    found = attributes(update, packet_bytes)
    for field in update.iter("field"):
        name = field.get("name")
        if name == "bgp.update.withdrawn_routes":
            add("withdraw", 1, 1, unicast(field), nothing)
        elif name == ATTRIBUTE + "mp_unreach_nlri":
            add("withdraw", *families[-1], nlri(field, families[-1][1]), nothing)
        elif name == ATTRIBUTE + "mp_reach_nlri":
            add("announce", *families[-1], nlri(field, families[-1][1]), found)
        elif name == "bgp.update.nlri":
            add("announce", 1, 1, unicast(field), found)
        elif name in (ATTRIBUTE + "mp_reach_nlri.afi", ATTRIBUTE + "mp_unreach_nlri.afi"):
            families.append((int(field.get("show")), None))
        elif name in (ATTRIBUTE + "mp_reach_nlri.safi", ATTRIBUTE + "mp_unreach_nlri.safi"):
            families[-1] = (families[-1][0], int(field.get("show")))
    end_of_rib = None
    if not events:
        codes = [
            number(field, ATTRIBUTE + "type_code")
            for field in update.iter("field")
            if field.get("name") == "bgp.update.path_attribute"
        ]
        if not codes:
            end_of_rib = (1, 1)
        elif codes == [15]:
            end_of_rib = families[0]
    return events, end_of_rib


# ---- one connection ------------------------------------------------------------------------------


def family_name(afi, safi):
    return FAMILY_NAMES.get((afi, safi), f"{afi}/{safi}")


def table_name(event):
    return " ".join(
        (
            event["peer_address"] if event["rib"] != "loc-rib" else "-",
            event["rib"],
            family_name(event["afi"], event["safi"]),
        )
    )


KEY_FIELDS = {
    1: ("rd", "evpn_esi", "evpn_tag"),
    2: ("rd", "evpn_tag", "mac_address", "evpn_ip"),
    3: ("rd", "evpn_tag", "evpn_ip"),
    4: ("rd", "evpn_esi", "evpn_ip"),
    5: ("rd", "evpn_tag", "evpn_prefix"),
}


def route_key(event):
    """What makes two NLRI the same route (EVPN: the key fields of RFC 7432 and RFC 9136)."""
    if event.get("evpn_route_type"):
        kind = event["evpn_route_type"]
        return (kind, *(event.get(name) for name in KEY_FIELDS[kind]))
    return event["prefix"]


class Connection:
    """All of one TCP connection: events, counts, and the tables at the end of each step."""

    def __init__(self, stream, ends):
        self.messages, self.rest = split(stream)
        self.events, self.tables, self.snapshots = [], collections.defaultdict(dict), {}
        self.counts = collections.Counter()
        self.routes = collections.defaultdict(collections.Counter)
        self.end_of_rib, self.peers, self.malformed = [], [], []
        # Where each step ends, as the number of messages up to there.
        borders, offset = {}, 0
        for index, message in enumerate(self.messages):
            offset += len(message)
            borders[offset] = index + 1
        ends = [(step, borders[size]) for step, size in ends]
        for index, packet in enumerate(decode(self.messages)):
            self.take(index, packet)
            for step, end in ends:
                if index + 1 == end:
                    self.snapshots[step] = {name: dict(table) for name, table in self.tables.items() if table}
        # A step without messages ends where the one before it ended.
        self.ends = dict(ends)
        assert index + 1 == len(self.messages), "tshark saw another number of messages"

    def take(self, index, packet):
        bmps = [proto for proto in packet.iter("proto") if proto.get("name") == "bmp"]
        assert len(bmps) == 1, f"message {index}: tshark sees {len(bmps)} BMP messages"
        bmp = bmps[0]
        kind = MESSAGES[number(bmp, "bmp.type")]
        self.counts[kind] += 1
        header = peer_header(bmp)
        if any((field.get("name") or "").startswith("_ws.malformed") for field in packet.iter()):
            self.malformed.append([index, kind])
            assert kind != "route-monitoring", f"message {index}: tshark cannot decode the routes"
        if kind == "peer-up":
            self.peers.append(
                {
                    "msg_index": index,
                    "event": "up",
                    **header,
                    "local_address": show(bmp, "bmp.peer.up.ip.addr") or show(bmp, "bmp.peer.up.ipv6.addr"),
                    "local_port": number(bmp, "bmp.peer.up.port.local"),
                    "remote_port": number(bmp, "bmp.peer.up.port.remote"),
                }
            )
        elif kind == "peer-down":
            # The reason is the byte after the two headers.
            self.peers.append(
                {"msg_index": index, "event": "down", **header, "reason": self.messages[index][48]}
            )
            if header["peer_type"] != 3:
                for name in [name for name in self.tables if name.split()[0] == header["peer_address"]]:
                    self.tables[name].clear()
        elif kind == "route-monitoring":
            self.take_update(index, header, packet)

    def take_update(self, index, header, packet):
        # 40 bytes of IP and TCP come before the message in our packets, and tshark counts them.
        packet_bytes = bytes(40) + self.messages[index]
        update = next(proto for proto in packet.iter("proto") if proto.get("name") == "bgp")
        events, end_of_rib = route_events(index, header, update, packet_bytes)
        if end_of_rib:
            self.end_of_rib.append(
                {
                    "msg_index": index,
                    "table": table_name({**header, "afi": end_of_rib[0], "safi": end_of_rib[1]}),
                }
            )
        elif not events:
            self.counts["route-monitoring without routes"] += 1
        for event in events:
            name = table_name(event)
            self.routes[name][event["action"]] += 1
            if event["action"] == "announce":
                self.tables[name][route_key(event)] = event
            else:
                self.tables[name].pop(route_key(event), None)
        self.events += events

    def summary(self):
        return {
            "messages": len(self.messages),
            "bytes": sum(map(len, self.messages)),
            "bytes_after_last_message": len(self.rest),
            "messages_by_type": dict(sorted(self.counts.items())),
            "peer_events": self.peers,
            "routes": {name: dict(counts) for name, counts in sorted(self.routes.items())},
            "end_of_rib": self.end_of_rib,
            "tshark_malformed": self.malformed,
            "messages_at_end_of_step": self.ends,
            "table_sizes_at_end_of_step": {
                step: {name: len(table) for name, table in sorted(tables.items())}
                for step, tables in self.snapshots.items()
            },
        }

    # ---- checks --------------------------------------------------------------------------------------


class Mismatch(Exception):
    """The capture differs from what was announced or shown."""


def expected_attributes(line, view, router):
    """The announced route as expected in this view of this router."""
    path = []
    for asn in line["as_path"]:
        if isinstance(asn, list):
            path.append(["AS_SET", asn])
        elif path and path[-1][0] == "AS_SEQUENCE":
            path[-1][1].append(asn)
        else:
            path.append(["AS_SEQUENCE", [asn]])
    communities = list(line.get("communities", []))
    if view == "adj-in-post":
        communities.append(routes.ADDED_COMMUNITY)
    if router.startswith("frr"):
        # FRR puts its own AS in front, in every view.
        path[0][1].insert(0, 65000)
    return {
        "next_hop": line["next_hop"],
        "as_path": path,
        "origin": line["origin"],
        "med": line.get("med"),
        "communities": sorted(communities),
        "large_communities": sorted(line.get("large_communities", [])),
        "route_targets": sorted(
            "0002{:04x}{:08x}".format(*tuple(map(int, target.split(":"))))
            for target in line.get("route_targets", [])
        ),
    }


def seen_attributes(event):
    return {
        "next_hop": event["next_hop"],
        "as_path": event["as_path"],
        "origin": event["origin"],
        "med": event["med"],
        "communities": sorted(event["communities"] or []),
        "large_communities": sorted(event["large_communities"] or []),
        # Type 4 EVPN routes get an ES-Import target from the announcer itself.
        "route_targets": sorted(text for text in event["ext_communities"] or [] if text.startswith("0002")),
    }


def expected_local_pref(view, router):
    if router.startswith("frr"):
        return {None}
    if view == "adj-in-post":
        return {routes.LOCAL_PREF}
    # BIRD shows its default in pre-policy too.
    return {100} if router == "bird" else {None}


def check_table(router, step, peer, view, family, want, have):
    """The table that the capture builds up must be the announced one: same routes, same attributes."""
    where = f"{router}, after {step}: {peer} {view} {family}"
    missing, extra = want.keys() - have.keys(), have.keys() - want.keys()
    if missing or extra:
        raise Mismatch(
            f"{where}: {len(missing)} missing {sorted(map(str, missing))[:3]}, "
            f"{len(extra)} too many {sorted(map(str, extra))[:3]}"
        )
    for key, line in want.items():
        wanted, seen = expected_attributes(line, view, router), seen_attributes(have[key])
        if wanted != seen:
            raise Mismatch(f"{where}: {key}: announced {wanted}, captured {seen}")
        if have[key]["local_pref"] not in expected_local_pref(view, router):
            raise Mismatch(f"{where}: {key}: local-pref {have[key]['local_pref']}")
        for name in ("evpn_esi", "evpn_tag", "evpn_ip", "mac_address", "evpn_prefix", "rd"):
            if line.get(name) != have[key].get(name):
                raise Mismatch(
                    f"{where}: {key}: {name} announced {line.get(name)}, captured {have[key].get(name)}"
                )
    return len(want)


def announced_tables(lines, step_order):
    """The announcers' tables at the end of each step, from their configuration and commands."""
    tables = {routes.PEER1: {}, routes.PEER2: {}}
    for step in step_order:
        if step == "flap":
            tables[routes.PEER1].clear()
        if step == "cease":
            tables[routes.PEER2].clear()
        for line in lines:
            if line["step"] == step:
                key = (line["afi"], line["safi"], route_key(line))
                if line["action"] == "announce":
                    tables[line["peer"]][key] = line
                else:
                    del tables[line["peer"]][key]
        yield step, {peer: dict(table) for peer, table in tables.items()}


def check(folder, router, connections, lines, steps):
    """Returns the number of compared routes. The first connection is checked after each step up to the
    reconnect, the second after the reconnect (except for BIRD, which sends no table then)."""
    compared, snapshot = 0, None
    for step, tables in announced_tables(lines, steps):
        which = 2 if step in ("reconnect", "last") else 1
        if step == "stop" or (which == 2 and router == "bird"):
            continue
        # A step in which nothing arrived (frr-abort) leaves the tables as they were.
        snapshot = connections[which].snapshots.get(step, snapshot)
        for peer, table in tables.items():
            if peer == routes.PEER2 and router == "frr-abort" and step == "cease":
                continue  # no Peer Down came
            for family in FAMILY_NAMES.values():
                want = {key[2]: line for key, line in table.items() if family_name(*key[:2]) == family}
                compared += check_table(
                    router,
                    step,
                    peer,
                    "adj-in-pre",
                    family,
                    want,
                    snapshot.get(f"{peer} adj-in-pre {family}", {}),
                )
                want.pop(routes.REJECTED, None)
                compared += check_table(
                    router,
                    step,
                    peer,
                    "adj-in-post",
                    family,
                    want,
                    snapshot.get(f"{peer} adj-in-post {family}", {}),
                )
        compared += check_shown(folder, router, step, snapshot)
    return compared


def shown_prefixes(text, name):
    """The prefixes in an answer of the router's own command line."""
    if name.endswith(".txt"):
        return set(re.findall(r"^(\S+/\d+)\s", text, re.MULTILINE))
    answer = json.loads(text)
    for inner in ("receivedRoutes", "routes"):
        if inner in answer:
            answer = answer[inner]
    return set(answer)


def check_shown(folder, router, step, snapshot):
    """The router's own tables: Adj-RIB-In of each peer, and the unicast RIB (all that passed the policy)."""
    compared = 0
    for line in read_lines(folder / "show.jsonl.gz"):
        view = line["view"]
        family = view.split("-")[0]
        if line["step"] != step or family not in ("ipv4", "ipv6"):
            continue
        shown = shown_prefixes(line["text"], view)
        if "-in-" in view:
            peer = re.search(r"127\.0\.0\.\d+", view).group(0)
            have = set(snapshot.get(f"{peer} adj-in-pre {family}", {}))
        else:
            have = {
                prefix
                for peer in (routes.PEER1, routes.PEER2)
                for prefix in snapshot.get(f"{peer} adj-in-post {family}", {})
            }
            loc_rib = set(snapshot.get(f"- loc-rib {family}", have))
            if loc_rib != shown:
                raise Mismatch(
                    f"{router}, {step} {view}: Loc-RIB of the capture differs: {sorted(loc_rib ^ shown)[:5]}"
                )
        if have != shown:
            raise Mismatch(
                f"{router}, {step} {view}: the router shows other prefixes: {sorted(have ^ shown)[:5]}"
            )
        compared += len(shown)
    return compared


def read_lines(path):
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def write_gz(path, text):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as packed:
        packed.write(text.encode())


def make(folder):
    capture = json.loads((folder / "capture.json").read_text())
    router, connections, last = capture["router"], {}, {}
    version = subprocess.run(
        [TSHARK, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    ).stdout.decode()
    for path in sorted(folder.glob("*.bmp.gz")):
        index = int(path.name.split(".")[0])
        ends = []
        for mark in capture["steps"]:
            size = mark["bytes"][index - 1] if len(mark["bytes"]) >= index else None
            # Only a step in which something came on this connection ends there.
            if size is not None and size != last.get(index):
                ends.append((mark["step"], size))
                last[index] = size
        connections[index] = Connection(gzip.open(path).read(), ends)
        lines = "".join(
            json.dumps(event, separators=(",", ":")) + "\n" for event in connections[index].events
        )
        write_gz(folder / f"{index}.truth.jsonl.gz", lines)
    steps = [mark["step"] for mark in capture["steps"]]
    compared = check(folder, router, connections, read_lines(folder / "announced.jsonl.gz"), steps)
    expected = {
        "router": router,
        "version": capture["version"],
        "decoder": version.splitlines()[0],
        "routes_checked_against_announcers": compared,
        "connections": {str(index): connection.summary() for index, connection in connections.items()},
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(
        f"{router}: {sum(len(c.events) for c in connections.values())} route events, "
        f"{compared} table entries agree with the announcers"
    )


def print_lines(path):
    """Prints tshark's decode of each Route Monitoring message, for tests/differential."""
    messages, _ = split(pathlib.Path(path).read_bytes())
    for index, packet in enumerate(decode(messages)):
        bmp = next((proto for proto in packet.iter("proto") if proto.get("name") == "bmp"), None)
        if bmp is None or messages[index][5] != 0:
            continue
        malformed = any((field.get("name") or "").startswith("_ws.malformed") for field in packet.iter())
        update = next((proto for proto in packet.iter("proto") if proto.get("name") == "bgp"), None)
        routes = []
        if update is not None and not malformed:
            try:
                routes, _ = route_events(index, {}, update, bytes(40) + messages[index])
            except (AssertionError, AttributeError, IndexError, TypeError, ValueError) as error:
                # The output contains something that this script cannot parse: no verdict.
                print(json.dumps({"msg_index": index, "unclear": repr(error)}))
                continue
        print(json.dumps({"msg_index": index, "malformed": malformed or update is None, "routes": routes}))


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    if sys.argv[1] == "--lines":
        print_lines(sys.argv[2])
        return
    with contextlib.suppress(KeyboardInterrupt):
        for name in sys.argv[1:]:
            try:
                make(pathlib.Path(name))
            except Mismatch as error:
                raise SystemExit(f"truth: {error}") from None


if __name__ == "__main__":
    main()
