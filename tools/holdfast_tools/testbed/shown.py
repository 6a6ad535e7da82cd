"""Parsers for the show commands of FRR, BIRD and GoBGP, with the names of the database columns.

A table is {(view, peer, family): {key: attributes}}. A key is a prefix, or an EVPN route as "type rd tag
mac ip prefix". Attributes that the router's command does not print are absent.
"""

import ipaddress
import json
import re

from . import routes
from .routes import PEER1, PEER2

PEERS = (PEER1, PEER2)
FAMILIES = ("ipv4", "ipv6", "evpn")
# Among the attributes of a route: those of the other paths of its prefix.
OTHERS = "others"


def path(text):
    """AS numbers and the braces of sets, without the spaces and commas that differ between routers."""
    return re.findall(r"\d+|[{}]", text)


def evpn_key(kind, rd, tag=None, mac=None, ip=None, prefix=None):
    return " ".join("-" if word in (None, "") else str(word) for word in (kind, rd, tag, mac, ip, prefix))


# ---- FRR -----------------------------------------------------------------------------------------


def frr(views):
    tables = {}
    for family in FAMILIES:
        for peer in PEERS:
            answer = json.loads(views.get(f"{family}-in-{peer}.json", "{}")) if family != "evpn" else {}
            if answer:
                tables["adj-in-pre", peer, family] = {
                    prefix: {
                        "as_path": path(route["path"]),
                        "origin": route["origin"].lower(),
                        "next_hop": frr_hop(route),
                    }
                    for prefix, route in answer["receivedRoutes"].items()
                }
    for family in ("ipv4", "ipv6"):
        for prefix, paths in json.loads(views[f"{family}-rib.json"])["routes"].items():
            for route in paths:
                put(
                    tables,
                    route["peer"]["peerId"],
                    family,
                    prefix,
                    frr_attributes(route),
                    "overall" in route.get("bestpath", {}),
                )
    for rd, entries in json.loads(views["evpn-rib.json"]).items():
        if not isinstance(entries, dict):
            continue
        for text, entry in entries.items():
            if text == "rd":
                continue
            for route in entry["paths"]:
                attributes = {
                    "as_path": path(route["path"]),
                    "origin": route["origin"].lower(),
                    "next_hop": route["nexthops"][0]["ip"],
                }
                key = frr_evpn(rd, text)
                put(tables, route["peerId"], "evpn", key, attributes, route.get("bestpath"))
                # No command shows EVPN routes before the policy, which rejects none of them.
                tables.setdefault(("adj-in-pre", route["peerId"], "evpn"), {})[key] = attributes
    return tables


def frr_hop(route):
    return route.get("nextHopGlobal") or route.get("nextHop")


def frr_attributes(route):
    listed = {
        name: sorted(route.get(key, {}).get("list", []))
        for name, key in (("communities", "community"), ("large_communities", "largeCommunity"))
    }
    return {
        "as_path": path(route["aspath"]["string"]),
        "origin": route["origin"].lower(),
        "med": route.get("metric"),
        "next_hop": route["nexthops"][0]["ip"],
        **listed,
    }


def frr_evpn(rd, text):
    kind, *rest = re.findall(r"\[([^\]]*)\]", text)
    if kind == "1":
        return evpn_key(1, rd, tag=rest[0])
    if kind == "2":
        return evpn_key(2, rd, tag=rest[0], mac=rest[2], ip=rest[4] if len(rest) > 4 else None)
    if kind == "3":
        return evpn_key(3, rd, tag=rest[0], ip=rest[2])
    if kind == "4":
        return evpn_key(4, rd, ip=rest[-1])
    return evpn_key(5, rd, tag=rest[0], prefix=f"{rest[2]}/{rest[1]}")


# ---- BIRD ----------------------------------------------------------------------------------------


def bird(views):
    tables = {}
    for family in ("ipv4", "ipv6"):
        for prefix, peer, attributes in bird_routes(views[f"{family}-rib.txt"]):
            put(tables, peer, family, prefix, attributes, False)  # it has no Loc-RIB view
        for peer in PEERS:
            for prefix, _, attributes in bird_routes(views.get(f"{family}-in-{peer}.txt", "")):
                tables.setdefault(("adj-in-pre", peer, family), {})[prefix] = attributes
    return tables


def bird_routes(text):
    """Prefix, peer, attributes. A further path of the same prefix begins with spaces in its place."""
    prefix, found = None, None
    for line in text.splitlines():
        head = re.match(r"(\S+/\d+)?\s+\w+ \[peer\d \S+ from (\S+?)\]", line)
        if head:
            if found:
                yield found
            prefix = head.group(1) or prefix
            found = (prefix, head.group(2), {"med": None, "communities": [], "large_communities": []})
        elif found and ": " in line:
            name, value = line.strip().split(": ", 1)
            bird_attribute(found[2], name, value)
    if found:
        yield found


def bird_attribute(attributes, name, value):
    lists = [":".join(part.replace(" ", "").split(",")) for part in re.findall(r"\(([^)]*)\)", value)]
    if name == "bgp_path":
        attributes["as_path"] = path(value)
    elif name == "bgp_origin":
        attributes["origin"] = value.lower()
    elif name == "bgp_next_hop":
        attributes["next_hop"] = value.split()[0]
    elif name in ("bgp_med", "bgp_local_pref"):
        attributes[name[4:]] = int(value)
    elif name == "bgp_community":
        attributes["communities"] = sorted(lists)
    elif name == "bgp_large_community":
        attributes["large_communities"] = sorted(lists)


# ---- GoBGP ---------------------------------------------------------------------------------------


def gobgp(views):
    tables, identifiers = {}, announced_identifiers()
    for family in FAMILIES:
        for paths in json.loads(views[f"{family}-rib.json"]).values():
            for route in paths:
                put(
                    tables,
                    route["neighbor-ip"],
                    family,
                    gobgp_key(route["nlri"]),
                    gobgp_attributes(route["attrs"]),
                    route["best"],
                )
        for peer in PEERS:
            for paths in json.loads(views.get(f"{family}-in-{peer}.json", "{}")).values():
                for route in paths:
                    attributes = gobgp_attributes(route["attrs"])
                    key = with_path(
                        gobgp_key(route["nlri"]),
                        identifiers.get((gobgp_key(route["nlri"]), " ".join(attributes["as_path"]))),
                    )
                    tables.setdefault(("adj-in-pre", peer, family), {})[key] = attributes
    return tables


def announced_identifiers():
    """{(prefix, path): identifier}: gobgp shows the paths of a prefix without their identifiers."""

    def words(one):
        return ["{", *map(str, one), "}"] if isinstance(one, tuple) else [str(one)]

    return {
        (route.prefix, " ".join(word for one in route.as_path for word in words(one))): route.path_id
        for route in routes.peer1_table() + routes.peer1_replaced()
    }


def gobgp_key(nlri):
    if "prefix" in nlri:
        return nlri["prefix"]
    kind, value = nlri["type"], nlri["value"]
    rd = "{admin}:{assigned}".format(**value["rd"])
    ip = value.get("ip")
    return evpn_key(
        kind,
        rd,
        tag=None if kind == 4 else value.get("etag"),
        mac=value.get("mac"),
        ip=None if kind == 5 or ip in ("0.0.0.0", "<nil>", "invalid IP") else ip,
        prefix=value.get("prefix"),
    )


def gobgp_attributes(attributes):
    found = {"med": None, "local_pref": None, "communities": [], "large_communities": []}
    for attribute in attributes:
        kind, value = attribute["type"], attribute.get("value")
        if kind == 1:
            found["origin"] = ("igp", "egp", "incomplete")[value]
        elif kind == 2:
            found["as_path"] = [word for segment in attribute["as_paths"] for word in gobgp_segment(segment)]
        elif kind in (3, 14):
            found["next_hop"] = attribute["nexthop"]
        elif kind == 4:
            found["med"] = attribute["metric"]
        elif kind == 5:
            found["local_pref"] = value
        elif kind == 8:
            found["communities"] = sorted(
                "%d:%d" % divmod(number, 65536) for number in attribute["communities"]
            )
        elif kind == 32:
            found["large_communities"] = sorted(
                "{ASN}:{LocalData1}:{LocalData2}".format(**one) for one in value
            )
    return found


def gobgp_segment(segment):
    asns = [str(asn) for asn in segment["asns"]]
    return ["{", *asns, "}"] if segment["segment_type"] == 1 else asns


# ---- all -----------------------------------------------------------------------------------------


def with_path(prefix, path_id):
    return f"{prefix} path {path_id}" if path_id else prefix


def put(tables, peer, family, key, attributes, is_best):
    table = tables.setdefault(("adj-in-post", peer, family), {})
    if key in table:
        # Another path of the prefix. Before the policy the router shows one of them.
        table[key].setdefault(OTHERS, []).append(attributes)
        before = tables.get(("adj-in-pre", peer, family), {}).get(key)
        if before:
            path = [
                {name: shown[name] for name in before if name != OTHERS} for shown in (table[key], attributes)
            ]
            before.setdefault(OTHERS, []).extend(path)
    else:
        table[key] = attributes
    if is_best:
        tables.setdefault(("loc-rib", "-", family), {})[key] = {
            name: attributes[name] for name in attributes if name != OTHERS
        }


def row_key(row):
    if row["evpn_route_type"] is None:
        return with_path(str(ipaddress.ip_network(row["prefix"])), row["path_id"])
    kind = row["evpn_route_type"]
    return evpn_key(
        kind,
        row["evpn_rd"],
        tag=row["evpn_tag"],
        mac=row["mac_address"],
        ip=row["evpn_ip"],
        # That of a MAC/IP route is its host, as in pybmpmon.
        prefix=row["prefix"] if kind == 5 else None,
    )


def row_attributes(row):
    """The same fields from a row of `route_state`."""
    origin = row["origin"]
    return {
        "as_path": path(row["as_path_text"] or " ".join(map(str, row["as_path"] or []))),
        "origin": None if origin is None else ("igp", "egp", "incomplete")[origin],
        "next_hop": row["next_hop"],
        "med": row["med"],
        "local_pref": row["local_pref"],
        "communities": sorted(row["communities"] or []),
        "large_communities": sorted(row["large_communities"] or []),
    }
