-- A peer is identified by its AS number and BGP identifier besides its address. Until now it was identified
-- by its address alone; existing rows remain one peer, and newer sessions are distinguished. Peers that are
-- known only from statistics have a state of their own, the collector reports how old the contents are, and
-- peers that will not return can be forgotten.

CREATE SEQUENCE peer_numbers;
COMMENT ON SEQUENCE peer_numbers IS 'Numbers of peers (bgp_peers.peer_number).';

CREATE TABLE peer_identities (
    collector          text NOT NULL,
    router             text NOT NULL,
    address            inet NOT NULL,
    peer_type          smallint NOT NULL,
    distinguisher      bytea NOT NULL,
    peer_distinguisher text NOT NULL,
    asn                bigint NOT NULL,
    bgp_id             inet NOT NULL,
    since              timestamptz NOT NULL DEFAULT '-infinity',
    until              timestamptz NOT NULL DEFAULT 'infinity',
    any_until          timestamptz NOT NULL DEFAULT '-infinity',
    peer_number        bigint NOT NULL,
    PRIMARY KEY (collector, router, address, peer_type, distinguisher, peer_distinguisher, asn, bgp_id, since)
);
CREATE INDEX peer_identities_number ON peer_identities (peer_number);
COMMENT ON TABLE peer_identities IS
    'The peer that each AS number and BGP identifier in history belongs to. Rows are never deleted. Columns
not commented here are as in bgp_peers.';
COMMENT ON COLUMN peer_identities.asn IS
    'AS number as sent; 0 if the router sent none, and for a Loc-RIB, whose identity does not include it.';
COMMENT ON COLUMN peer_identities.bgp_id IS 'BGP identifier as sent; 0.0.0.0 if the router sent none.';
COMMENT ON COLUMN peer_identities.since IS
    'First session to which the row applies. Zeros may belong to another peer in a later session.';
COMMENT ON COLUMN peer_identities.until IS 'First session to which the row no longer applies.';
COMMENT ON COLUMN peer_identities.any_until IS
    'Records of sessions before this one belong to the peer whatever their AS number and BGP identifier:
they were stored when a peer was identified by its address alone. Else -infinity.';
COMMENT ON COLUMN peer_identities.peer_number IS 'bgp_peers.peer_number.';

ALTER TABLE bgp_peers ADD COLUMN peer_number bigint;
COMMENT ON COLUMN bgp_peers.peer_number IS
    'Number of the peer, which its RIB views have in common (peer_identities).';
INSERT INTO peer_identities (collector, router, address, peer_type, distinguisher, peer_distinguisher, asn,
    bgp_id, any_until, peer_number)
SELECT DISTINCT ON (collector, router, address, peer_type, distinguisher)
    collector, router, address, peer_type, distinguisher, peer_distinguisher,
    CASE WHEN peer_type = 3 THEN 0 ELSE asn END, bgp_id,
    max(session) OVER (PARTITION BY collector, router, address, peer_type, distinguisher)
        + interval '1 microsecond', nextval('peer_numbers')
FROM bgp_peers
ORDER BY collector, router, address, peer_type, distinguisher, session DESC, last_seen DESC;
UPDATE bgp_peers p SET peer_number = i.peer_number FROM peer_identities i
WHERE i.collector = p.collector AND i.router = p.router AND i.address = p.address
    AND i.peer_type = p.peer_type AND i.distinguisher = p.distinguisher;
DO $$
BEGIN
    EXECUTE (SELECT format('ALTER TABLE bgp_peers DROP CONSTRAINT %I', conname) FROM pg_constraint
        WHERE conrelid = 'bgp_peers'::regclass AND contype = 'u');
END
$$;
ALTER TABLE bgp_peers ALTER COLUMN peer_number SET NOT NULL, ADD UNIQUE (peer_number, rib),
    DROP CONSTRAINT bgp_peers_state_check,
    ADD CONSTRAINT bgp_peers_state_check CHECK (state IN ('up', 'down', 'stale', 'unknown'));
CREATE INDEX bgp_peers_router ON bgp_peers (collector, router);
COMMENT ON COLUMN bgp_peers.distinguisher IS 'Peer distinguisher in wire format.';
COMMENT ON COLUMN bgp_peers.address IS 'Address of the peer. Several peers may share it.';
COMMENT ON COLUMN bgp_peers.asn IS
    'AS number of the peer; 0 if the router has sent none. Of a Loc-RIB the last one that was not 0.';
COMMENT ON COLUMN bgp_peers.bgp_id IS 'BGP identifier of the peer; 0.0.0.0 if the router has sent none.';
COMMENT ON COLUMN bgp_peers.state IS
    'up: a Peer Up or an announcement was received; down: a Peer Down; stale: the BMP session ended, or the
collector stopped following the peer; unknown: only other messages were received, such as statistics.';
COMMENT ON COLUMN bgp_peers.session IS 'Session of the newest incarnation that set state.';
COMMENT ON COLUMN bgp_peers.generation IS 'Generation of the newest incarnation that set state.';

-- Two peers at one address may have the same route.
ALTER TABLE kept_routes DROP CONSTRAINT kept_routes_pkey;
ALTER TABLE kept_routes ADD PRIMARY KEY (collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib,
    route_key, bgp_peer_asn, bgp_id);
ALTER TABLE kept_route_ends ADD COLUMN bgp_peer_asn bigint, ADD COLUMN bgp_id inet;

CREATE TABLE forgotten_peers (
    peer_number  bigint NOT NULL,
    log_id       uuid NOT NULL,
    last_seq     bigint NOT NULL,
    forgotten_at timestamptz NOT NULL,
    PRIMARY KEY (peer_number, log_id, forgotten_at)
);
COMMENT ON TABLE forgotten_peers IS
    'Peers that `holdfast forget` or FORGET_AFTER_DAYS removed from the current tables, one row per log.
Their history remains, but the current table no longer includes its records up to last_seq.';
COMMENT ON COLUMN forgotten_peers.peer_number IS 'peer_identities.peer_number.';
COMMENT ON COLUMN forgotten_peers.last_seq IS 'Last sequence number of the log that was stored by then.';
COMMENT ON COLUMN forgotten_peers.forgotten_at IS 'Time at which the peer was forgotten.';

CREATE TABLE collector_reports (
    collector   text PRIMARY KEY,
    as_of       timestamptz NOT NULL,
    reported_at timestamptz NOT NULL
);
COMMENT ON TABLE collector_reports IS
    'How current the tables are, reported by each running collector every few seconds.';
COMMENT ON COLUMN collector_reports.as_of IS
    'Everything that the collector received before this time, by its clock, is in the database.';
COMMENT ON COLUMN collector_reports.reported_at IS
    'Time of the report, by the clock of the server. An old report means that the collector does not run, or
cannot reach the database: routers and peers are then shown as they were.';

-- Their columns change; migrations/functions creates them anew.
DROP VIEW IF EXISTS chosen_peers CASCADE;
DROP FUNCTION IF EXISTS holdfast_find_peers(text, jsonb);
DROP FUNCTION IF EXISTS rib_at(text, timestamptz, text);
DROP FUNCTION IF EXISTS prefix_timeline(cidr, interval, timestamptz);
DROP FUNCTION IF EXISTS peers(text);
DROP FUNCTION IF EXISTS routers();
DROP FUNCTION IF EXISTS collector_health();
