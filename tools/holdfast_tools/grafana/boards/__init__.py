"""The dashboards, one module per topic."""

from . import lookups, operation, overview, peers, policy, security, topology, tops, vpn

ALL = (
    overview.OVERVIEW,
    overview.INVENTORY,
    peers.PEERS,
    lookups.LOOKING_GLASS,
    lookups.PREFIX,
    lookups.AS,
    lookups.COMMUNITY,
    tops.TOPS,
    tops.STABILITY,
    vpn.L3VPN,
    vpn.L3VPN_HISTORY,
    vpn.EVPN,
    topology.TOPOLOGY,
    topology.LINK_STATE_HISTORY,
    security.RPKI,
    security.ORIGINS,
    policy.POLICY,
    operation.DELIVERY,
    operation.LOG,
    operation.COLLECTOR,
)
