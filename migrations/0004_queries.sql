-- Tables that queries read: those that the operator fills in, validated ROA payloads, and samples of table
-- sizes.

CREATE TABLE own_prefixes (
    prefix     cidr PRIMARY KEY,
    origins    bigint[] NOT NULL,
    length_max integer CHECK (length_max BETWEEN masklen(prefix) AND 128),
    note       text
);
COMMENT ON TABLE own_prefixes IS
    'The operator''s own prefixes, filled in by the operator. The most specific row that covers a route
applies (hijacks).';
COMMENT ON COLUMN own_prefixes.origins IS 'AS numbers that may originate routes inside the prefix.';
COMMENT ON COLUMN own_prefixes.length_max IS
    'Greatest prefix length that may be announced; null permits the prefix itself only.';

CREATE TABLE peer_roles (
    asn  bigint PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('provider', 'customer', 'peer', 'rs', 'rs-client')),
    note text
);
COMMENT ON TABLE peer_roles IS
    'BGP roles (RFC 9234) of neighbouring AS numbers, filled in by the operator (leaks).';
COMMENT ON COLUMN peer_roles.role IS 'Role of the neighbour: provider, customer, peer, rs or rs-client.';

CREATE TABLE rpki_vrps (
    prefix       cidr NOT NULL,
    length_max   smallint NOT NULL,
    asn          bigint NOT NULL,
    trust_anchor text NOT NULL,
    PRIMARY KEY (prefix, length_max, asn, trust_anchor)
);
COMMENT ON TABLE rpki_vrps IS 'Validated ROA payloads (VRPs). `holdfast rpki load` replaces all rows.';
COMMENT ON COLUMN rpki_vrps.length_max IS 'maxLength of the payload.';
COMMENT ON COLUMN rpki_vrps.asn IS 'Authorised origin; 0 authorises none.';
COMMENT ON COLUMN rpki_vrps.trust_anchor IS 'Name of the trust anchor; empty if the file names none.';

CREATE TABLE rpki_loads (
    loaded_at timestamptz PRIMARY KEY DEFAULT now(),
    vrps      bigint NOT NULL,
    source    text NOT NULL
);
COMMENT ON TABLE rpki_loads IS 'Loads of rpki_vrps: time, number of payloads, name of the file.';

CREATE TABLE rib_sizes (
    time    timestamptz NOT NULL,
    peer_id bigint NOT NULL,
    afi     integer NOT NULL,
    safi    smallint NOT NULL,
    routes  bigint NOT NULL,
    PRIMARY KEY (time, peer_id, afi, safi)
);
COMMENT ON TABLE rib_sizes IS
    'Samples of the number of current routes of each family of each RIB view, every six hours.';
COMMENT ON COLUMN rib_sizes.peer_id IS 'bgp_peers.id.';
