-- The present: routers, peers and the routes that stand. A route is current when it is not withdrawn and its (session,
-- generation) is not below valid_from of its peer and of its family there; so Peer Down, stale and sweep cost one row.

-- Routers. Written by lane 0 only. The first five columns are those of pybmpmon.
CREATE TABLE bmp_peers (
    peer_ip       inet NOT NULL,
    router_id     inet,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    is_active     boolean NOT NULL,
    collector     text NOT NULL,
    router        text NOT NULL,
    port          integer NOT NULL,
    session       timestamptz NOT NULL,
    sys_name      text,
    sys_descr     text,
    information   text[],
    ended_at      timestamptz,
    end_reason    text,
    sessions      bigint NOT NULL,
    PRIMARY KEY (collector, router)
) WITH (fillfactor = 50);

-- Peers: one row per RIB view. Each belongs to one lane, so lanes never wait for each other here.
CREATE TABLE bgp_peers (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collector          text NOT NULL,
    router             text NOT NULL,
    peer_type          smallint NOT NULL,
    distinguisher      bytea NOT NULL,
    address            inet NOT NULL,
    rib                text NOT NULL,
    peer_distinguisher text NOT NULL,
    bmp_peer_ip        inet NOT NULL,
    asn                bigint NOT NULL,
    bgp_id             inet NOT NULL,
    table_name         text,
    state              text NOT NULL CHECK (state IN ('up', 'down', 'stale')),
    session            timestamptz NOT NULL,
    generation         bigint NOT NULL,
    state_seq          bigint NOT NULL,
    state_idx          integer NOT NULL,
    valid_session      timestamptz NOT NULL,
    valid_generation   bigint NOT NULL,
    first_seen         timestamptz NOT NULL,
    last_seen          timestamptz NOT NULL,
    up_since           timestamptz,
    down_at            timestamptz,
    down_reason        integer,
    stale_since        timestamptz,
    stale_reason       text,
    ups                bigint NOT NULL DEFAULT 0,
    downs              bigint NOT NULL DEFAULT 0,
    announced          bigint NOT NULL DEFAULT 0,
    withdrawn          bigint NOT NULL DEFAULT 0,
    detail             jsonb,
    UNIQUE (collector, router, peer_type, distinguisher, address, rib)
) WITH (fillfactor = 50);

-- What End-of-RIB and sweep said of one family of a peer, and when a PDU of it could not be read (0/0: one that could not
-- even be cut into families).
CREATE TABLE peer_families (
    peer_id          bigint NOT NULL,
    afi              integer NOT NULL,
    safi             smallint NOT NULL,
    eor_session      timestamptz,
    eor_generation   bigint,
    eor_at           timestamptz,
    valid_session    timestamptz NOT NULL DEFAULT '-infinity',
    valid_generation bigint NOT NULL DEFAULT 0,
    suspect_session    timestamptz,
    suspect_generation bigint,
    suspect_at         timestamptz,
    suspect_reason     text,
    PRIMARY KEY (peer_id, afi, safi)
) WITH (fillfactor = 50);

-- Attribute sets, each once per lane: the hash is seeded with collector and lane, so that lanes never share a row.
CREATE TABLE path_attributes (
    hash                 uuid PRIMARY KEY,
    origin               smallint,
    as_path              bigint[],
    as_path_text         text,
    origin_as            bigint,
    next_hop             inet,
    next_hop_link_local  inet,
    med                  bigint,
    local_pref           bigint,
    atomic_aggregate     boolean,
    aggregator_asn       bigint,
    aggregator_address   inet,
    communities          text[],
    extended_communities text[],
    large_communities    text[],
    originator_id        inet,
    cluster_list         inet[],
    aigp                 numeric(20),
    otc                  bigint,
    attributes_raw       bytea,
    attributes_more      text[],
    missing              text[],
    discarded            text[],
    -- Within a day, see holdfast_clean_attributes.
    used_at              timestamptz NOT NULL DEFAULT now()
);

-- The last word on each route. Half-empty pages let every row of a page be updated in place (HOT).
CREATE TABLE rib_entries (
    peer_id           bigint NOT NULL,
    first_seen        timestamptz NOT NULL,
    last_seen         timestamptz NOT NULL,
    last_state_change timestamptz NOT NULL,
    session           timestamptz NOT NULL,
    generation        bigint NOT NULL,
    seq               bigint NOT NULL,
    path_id           bigint,
    idx               integer NOT NULL,
    learn_count       integer NOT NULL,
    withdraw_count    integer NOT NULL,
    afi               integer NOT NULL,
    safi              smallint NOT NULL,
    is_withdrawn      boolean NOT NULL,
    attributes        uuid,
    route_key         bytea NOT NULL,
    prefix            cidr,
    rd                text,
    evpn_route_type   integer,
    evpn_rd           text,
    evpn_esi          text,
    evpn_tag          bigint,
    mac_address       text,
    evpn_ip           inet,
    evpn_gateway      inet,
    labels            bigint[],
    nlri              text,
    nlri_raw          bytea,
    PRIMARY KEY (peer_id, route_key)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.1);
CREATE INDEX rib_entries_prefix ON rib_entries (prefix) WHERE prefix IS NOT NULL;
CREATE INDEX rib_entries_mac ON rib_entries (mac_address) WHERE mac_address IS NOT NULL;

-- What maintenance does less often than every round, and when it did.
CREATE TABLE upkeep (
    task    text PRIMARY KEY,
    done_at timestamptz NOT NULL
);

-- Deletes attribute sets that no route has and no lane has used for `grace`, unless that was done within `every`. Returns how many.
--
-- A lane may be about to use one again. Before its routes refer to a set it moves used_at forward, which locks the row, unless
-- that lies within a day; here sets of the last two days are left alone, locked ones are skipped, and one that was moved meanwhile
-- is looked at again. So none goes that a route has. No lane is waited for, and a lane waits for no more than this one statement.
CREATE FUNCTION holdfast_clean_attributes(grace interval, every interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('path_attributes'))
        OR EXISTS (SELECT FROM upkeep WHERE task = 'path_attributes' AND done_at > now() - every) THEN
        RETURN 0;
    END IF;
    WITH unused AS MATERIALIZED (
        SELECT a.hash FROM path_attributes a
        WHERE a.used_at < now() - greatest(grace, interval '2 days')
            AND NOT EXISTS (SELECT FROM rib_entries e WHERE e.attributes = a.hash)
        FOR UPDATE OF a SKIP LOCKED
    )
    DELETE FROM path_attributes a USING unused u WHERE a.hash = u.hash;
    GET DIAGNOSTICS gone = ROW_COUNT;
    INSERT INTO upkeep VALUES ('path_attributes', now()) ON CONFLICT (task) DO UPDATE SET done_at = excluded.done_at;
    RETURN gone;
END
$$;

-- The name of an address family, by its IANA numbers; a test holds it to that of the program.
CREATE FUNCTION holdfast_family(afi integer, safi integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE afi * 1000 + safi
        WHEN 1001 THEN 'ipv4_unicast'
        WHEN 2001 THEN 'ipv6_unicast'
        WHEN 1002 THEN 'ipv4_multicast'
        WHEN 2002 THEN 'ipv6_multicast'
        WHEN 1004 THEN 'ipv4_labelled_unicast'
        WHEN 2004 THEN 'ipv6_labelled_unicast'
        WHEN 1005 THEN 'ipv4_mvpn'
        WHEN 2005 THEN 'ipv6_mvpn'
        WHEN 1066 THEN 'ipv4_mdt'
        WHEN 2066 THEN 'ipv6_mdt'
        WHEN 1073 THEN 'ipv4_sr_policy'
        WHEN 2073 THEN 'ipv6_sr_policy'
        WHEN 1085 THEN 'ipv4_mup'
        WHEN 2085 THEN 'ipv6_mup'
        WHEN 1128 THEN 'ipv4_vpn'
        WHEN 2128 THEN 'ipv6_vpn'
        WHEN 1129 THEN 'ipv4_vpn_multicast'
        WHEN 2129 THEN 'ipv6_vpn_multicast'
        WHEN 1132 THEN 'route_target'
        WHEN 1133 THEN 'ipv4_flowspec'
        WHEN 2133 THEN 'ipv6_flowspec'
        WHEN 1134 THEN 'ipv4_vpn_flowspec'
        WHEN 2134 THEN 'ipv6_vpn_flowspec'
        WHEN 25065 THEN 'vpls'
        WHEN 25070 THEN 'evpn'
        WHEN 16388071 THEN 'link_state'
        WHEN 16388072 THEN 'link_state_vpn'
        ELSE afi || '/' || safi END
$$;

CREATE VIEW route_state AS
SELECT p.bmp_peer_ip, NULL::bigint AS bmp_peer_asn, p.address AS bgp_peer_ip, p.asn AS bgp_peer_asn,
       holdfast_family(e.afi, e.safi) AS family,
       e.prefix, e.first_seen, e.last_seen, e.last_state_change,
       e.is_withdrawn OR ended.is_ended AS is_withdrawn,
       e.learn_count, e.withdraw_count,
       a.next_hop, a.as_path, a.communities, a.extended_communities, a.med, a.local_pref,
       e.evpn_route_type, e.evpn_rd, e.evpn_esi, e.mac_address,
       NOT e.is_withdrawn AND NOT ended.is_ended
           AND (p.state = 'stale' OR (e.session, e.generation) < (p.session, p.generation)) AS is_stale,
       ended.is_ended AND NOT e.is_withdrawn AS is_ended,
       p.collector, p.router, p.peer_type, p.peer_distinguisher, p.bgp_id, p.rib, p.table_name, p.state AS peer_state,
       e.peer_id, e.afi, e.safi, e.path_id, e.session, e.generation, e.seq, e.idx,
       a.origin, a.as_path_text, a.origin_as, a.next_hop_link_local, a.atomic_aggregate, a.aggregator_asn,
       a.aggregator_address, a.large_communities, a.originator_id, a.cluster_list, a.aigp, a.otc,
       e.rd, e.evpn_tag, e.evpn_ip, e.evpn_gateway, e.labels, e.nlri, e.nlri_raw, a.attributes_raw, a.attributes_more, a.missing, a.discarded, e.route_key
FROM rib_entries e
JOIN bgp_peers p ON p.id = e.peer_id
LEFT JOIN peer_families f ON f.peer_id = e.peer_id AND f.afi = e.afi AND f.safi = e.safi
CROSS JOIN LATERAL (SELECT (e.session, e.generation) < (p.valid_session, p.valid_generation)
    OR (f.peer_id IS NOT NULL AND (e.session, e.generation) < (f.valid_session, f.valid_generation)) AS is_ended) ended
LEFT JOIN path_attributes a ON a.hash = e.attributes;

-- How far each table can be believed: stale and why, suspect since when and why. Suspect is a family of which a PDU could
-- not be read, until End-of-RIB of a later generation says that the whole table has been told again, or a Peer Down ends it.
CREATE VIEW family_state AS
SELECT p.collector, p.router, p.bmp_peer_ip, p.address AS bgp_peer_ip, p.asn AS bgp_peer_asn, p.peer_type,
       p.peer_distinguisher, p.rib, p.table_name, p.state AS peer_state, p.stale_since,
       CASE WHEN p.state = 'stale' AND r.is_active AND r.session > p.session
           THEN 'not told again since the router connected' ELSE p.stale_reason END AS stale_reason,
       CASE WHEN f.afi = 0 THEN 'any' ELSE holdfast_family(f.afi, f.safi) END AS family, f.afi, f.safi,
       f.eor_at AS end_of_rib_at, s.suspect_at AS suspect_since, s.suspect_reason
FROM bgp_peers p
JOIN bmp_peers r ON r.collector = p.collector AND r.router = p.router
LEFT JOIN peer_families f ON f.peer_id = p.id
LEFT JOIN LATERAL (
    SELECT o.suspect_at, o.suspect_reason FROM peer_families o
    WHERE o.peer_id = p.id AND ((o.afi = f.afi AND o.safi = f.safi) OR o.afi = 0)
        AND (o.suspect_session, o.suspect_generation) >= (p.valid_session, p.valid_generation)
        AND (f.eor_session IS NULL OR (f.eor_session, f.eor_generation) <= (o.suspect_session, o.suspect_generation))
    ORDER BY o.suspect_at DESC LIMIT 1) s ON true;

-- What one transaction says of routers (lane 0 only). An older session never touches what a newer one has written.
CREATE FUNCTION holdfast_merge_routers(m_collector text, routers jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO bmp_peers AS b (peer_ip, router_id, first_seen, last_seen, is_active, collector, router, port, session,
        sys_name, sys_descr, information, ended_at, end_reason, sessions)
    SELECT r.peer_ip, r.router_id, holdfast_time(r.first_seen), holdfast_time(r.last_seen), r.ended_at IS NULL, m_collector,
        r.router, r.port, holdfast_time(r.session), r.sys_name, r.sys_descr, r.information, holdfast_time(r.ended_at),
        r.end_reason, 1
    FROM jsonb_to_recordset(routers) AS r (router text, peer_ip inet, router_id inet, port integer, session bigint,
        first_seen bigint, last_seen bigint, sys_name text, sys_descr text, information text[], ended_at bigint, end_reason text)
    ON CONFLICT (collector, router) DO UPDATE SET
        peer_ip = excluded.peer_ip, port = excluded.port, router_id = coalesce(excluded.router_id, b.router_id),
        last_seen = greatest(b.last_seen, excluded.last_seen), session = excluded.session,
        is_active = excluded.is_active AND NOT (b.session = excluded.session AND NOT b.is_active),
        sys_name = coalesce(excluded.sys_name, b.sys_name), sys_descr = coalesce(excluded.sys_descr, b.sys_descr),
        information = coalesce(excluded.information, b.information),
        ended_at = CASE WHEN b.session = excluded.session THEN coalesce(excluded.ended_at, b.ended_at) ELSE excluded.ended_at END,
        end_reason = CASE WHEN b.session = excluded.session THEN coalesce(excluded.end_reason, b.end_reason)
            ELSE excluded.end_reason END,
        sessions = b.sessions + CASE WHEN b.session < excluded.session THEN 1 ELSE 0 END
    WHERE b.session <= excluded.session
$$;

-- The ids of the peer views that a transaction names.
CREATE FUNCTION holdfast_find_peers(m_collector text, peers jsonb) RETURNS TABLE (place integer, id bigint)
LANGUAGE sql STABLE AS $$
    SELECT n.place, b.id
    FROM jsonb_to_recordset(peers) AS n (place integer, router text, peer_type smallint, distinguisher text, address inet,
        rib text)
    JOIN bgp_peers b ON b.collector = m_collector AND b.router = n.router AND b.peer_type = n.peer_type
        AND b.distinguisher = decode(n.distinguisher, 'hex') AND b.address = n.address AND b.rib = n.rib
$$;

-- What one transaction says of peers: `peers` the views it has rows of, `changes` the last state change of each peer key,
-- `families` End-of-RIB and sweeps. Returns the ids by place, and from when on routes counted before this transaction: of
-- peers that were known (afi null), and of their families.
CREATE FUNCTION holdfast_merge_peers(m_collector text, peers jsonb, changes jsonb, families jsonb)
RETURNS TABLE (place integer, id bigint, afi integer, safi smallint, valid_session timestamptz, valid_generation bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH m AS MATERIALIZED (SELECT * FROM holdfast_find_peers(m_collector, peers))
        SELECT m.place, m.id, NULL::integer, NULL::smallint, b.valid_session, b.valid_generation
        FROM m JOIN bgp_peers b ON b.id = m.id
        UNION ALL
        SELECT m.place, m.id, f.afi, f.safi, f.valid_session, f.valid_generation
        FROM m JOIN peer_families f ON f.peer_id = m.id WHERE f.valid_session > '-infinity';

    INSERT INTO bgp_peers AS b (collector, router, peer_type, distinguisher, address, rib, peer_distinguisher, bmp_peer_ip,
        asn, bgp_id, table_name, state, session, generation, state_seq, state_idx, valid_session, valid_generation,
        first_seen, last_seen, announced, withdrawn)
    SELECT m_collector, n.router, n.peer_type, decode(n.distinguisher, 'hex'), n.address, n.rib, n.peer_distinguisher,
        n.bmp_peer_ip, n.asn, n.bgp_id, n.table_name, 'up', holdfast_time(n.session), n.generation, 0, 0, '-infinity', 0,
        holdfast_time(n.first_seen), holdfast_time(n.last_seen), n.announced, n.withdrawn
    FROM jsonb_to_recordset(peers) AS n (router text, peer_type smallint, distinguisher text, address inet, rib text,
        peer_distinguisher text, bmp_peer_ip inet, asn bigint, bgp_id inet, table_name text, session bigint, generation bigint,
        first_seen bigint, last_seen bigint, announced bigint, withdrawn bigint)
    ON CONFLICT (collector, router, peer_type, distinguisher, address, rib) DO UPDATE SET
        last_seen = greatest(b.last_seen, excluded.last_seen),
        announced = b.announced + excluded.announced, withdrawn = b.withdrawn + excluded.withdrawn,
        -- Some routers give no AS or BGP ID at times (RFC 7854 leaves them zero): the better knowledge stays.
        asn = CASE WHEN (excluded.session, excluded.generation) >= (b.session, b.generation) AND excluded.asn <> 0
            THEN excluded.asn ELSE b.asn END,
        bgp_id = CASE WHEN (excluded.session, excluded.generation) >= (b.session, b.generation) AND excluded.bgp_id <> '0.0.0.0'
            THEN excluded.bgp_id ELSE b.bgp_id END,
        table_name = CASE WHEN (excluded.session, excluded.generation) >= (b.session, b.generation)
            THEN coalesce(excluded.table_name, b.table_name) ELSE b.table_name END,
        bmp_peer_ip = CASE WHEN excluded.session >= b.session THEN excluded.bmp_peer_ip ELSE b.bmp_peer_ip END,
        state = CASE WHEN (excluded.session, excluded.generation) > (b.session, b.generation) THEN 'up' ELSE b.state END,
        stale_since = CASE WHEN (excluded.session, excluded.generation) > (b.session, b.generation) THEN NULL
            ELSE b.stale_since END,
        stale_reason = CASE WHEN (excluded.session, excluded.generation) > (b.session, b.generation) THEN NULL
            ELSE b.stale_reason END,
        state_seq = CASE WHEN (excluded.session, excluded.generation) > (b.session, b.generation) THEN 0 ELSE b.state_seq END,
        state_idx = CASE WHEN (excluded.session, excluded.generation) > (b.session, b.generation) THEN 0 ELSE b.state_idx END,
        generation = CASE WHEN (excluded.session, excluded.generation) > (b.session, b.generation) THEN excluded.generation
            ELSE b.generation END,
        session = greatest(b.session, excluded.session);

    -- A change of a peer key holds for all its adjacency views; a Loc-RIB has a life of its own (RFC 9069).
    UPDATE bgp_peers b SET
        state = CASE WHEN newer.yes THEN c.state ELSE b.state END,
        session = CASE WHEN newer.yes THEN holdfast_time(c.session) ELSE b.session END,
        generation = CASE WHEN newer.yes THEN c.generation ELSE b.generation END,
        state_seq = CASE WHEN newer.yes THEN c.seq ELSE b.state_seq END,
        state_idx = CASE WHEN newer.yes THEN c.idx ELSE b.state_idx END,
        up_since = CASE WHEN newer.yes THEN coalesce(holdfast_time(c.up_at), b.up_since) ELSE b.up_since END,
        down_at = CASE WHEN newer.yes THEN coalesce(holdfast_time(c.down_at), b.down_at) ELSE b.down_at END,
        down_reason = CASE WHEN newer.yes AND c.down_at IS NOT NULL THEN c.down_reason ELSE b.down_reason END,
        stale_since = CASE WHEN NOT newer.yes THEN b.stale_since WHEN c.state = 'stale' THEN holdfast_time(c.stale_at) END,
        stale_reason = CASE WHEN NOT newer.yes THEN b.stale_reason WHEN c.state = 'stale' THEN c.stale_reason END,
        detail = CASE WHEN newer.yes THEN coalesce(c.detail, b.detail) ELSE b.detail END,
        ups = b.ups + c.ups, downs = b.downs + c.downs,
        valid_generation = CASE WHEN ended.yes THEN c.valid_generation ELSE b.valid_generation END,
        valid_session = CASE WHEN ended.yes THEN holdfast_time(c.valid_session) ELSE b.valid_session END
    FROM jsonb_to_recordset(changes) AS c (router text, peer_type smallint, distinguisher text, address inet, is_loc_rib boolean,
        state text, session bigint, generation bigint, seq bigint, idx integer, up_at bigint, down_at bigint,
        down_reason integer, stale_at bigint, stale_reason text, ups bigint, downs bigint, detail jsonb, valid_session bigint,
        valid_generation bigint), bgp_peers o
    CROSS JOIN LATERAL (SELECT (holdfast_time(c.session), c.generation, c.seq, c.idx)
        > (o.session, o.generation, o.state_seq, o.state_idx) AS yes) newer
    CROSS JOIN LATERAL (SELECT c.valid_session IS NOT NULL
        AND (holdfast_time(c.valid_session), c.valid_generation) > (o.valid_session, o.valid_generation) AS yes) ended
    WHERE b.id = o.id AND o.collector = m_collector AND o.router = c.router AND o.peer_type = c.peer_type
        AND o.distinguisher = decode(c.distinguisher, 'hex') AND o.address = c.address AND (o.rib = 'loc-rib') = c.is_loc_rib;

    INSERT INTO peer_families AS p (peer_id, afi, safi, eor_session, eor_generation, eor_at, valid_session, valid_generation,
        suspect_session, suspect_generation, suspect_at, suspect_reason)
    SELECT m.id, f.afi, f.safi, holdfast_time(f.eor_session), f.eor_generation, holdfast_time(f.eor_at),
        coalesce(holdfast_time(f.valid_session), '-infinity'), coalesce(f.valid_generation, 0),
        holdfast_time(f.suspect_session), f.suspect_generation, holdfast_time(f.suspect_at), f.suspect_reason
    FROM jsonb_to_recordset(families) AS f (place integer, afi integer, safi smallint, eor_session bigint,
        eor_generation bigint, eor_at bigint, valid_session bigint, valid_generation bigint, suspect_session bigint,
        suspect_generation bigint, suspect_at bigint, suspect_reason text)
    JOIN holdfast_find_peers(m_collector, peers) m ON m.place = f.place
    ON CONFLICT (peer_id, afi, safi) DO UPDATE SET
        eor_at = CASE WHEN (excluded.eor_session, excluded.eor_generation) >= (p.eor_session, p.eor_generation)
            OR p.eor_at IS NULL THEN coalesce(excluded.eor_at, p.eor_at) ELSE p.eor_at END,
        eor_generation = CASE WHEN (excluded.eor_session, excluded.eor_generation) >= (p.eor_session, p.eor_generation)
            OR p.eor_at IS NULL THEN coalesce(excluded.eor_generation, p.eor_generation) ELSE p.eor_generation END,
        eor_session = greatest(p.eor_session, excluded.eor_session),
        valid_generation = CASE WHEN (excluded.valid_session, excluded.valid_generation) > (p.valid_session, p.valid_generation)
            THEN excluded.valid_generation ELSE p.valid_generation END,
        valid_session = greatest(p.valid_session, excluded.valid_session),
        (suspect_session, suspect_generation, suspect_at, suspect_reason) = (
            SELECT n.suspect_session, n.suspect_generation, n.suspect_at, n.suspect_reason
            FROM (VALUES (excluded.suspect_session, excluded.suspect_generation, excluded.suspect_at, excluded.suspect_reason),
                (p.suspect_session, p.suspect_generation, p.suspect_at, p.suspect_reason))
                AS n (suspect_session, suspect_generation, suspect_at, suspect_reason)
            ORDER BY n.suspect_session DESC NULLS LAST, n.suspect_generation DESC, n.suspect_at DESC LIMIT 1);

    RETURN QUERY
        SELECT m.place, m.id, NULL::integer, NULL::smallint, '-infinity'::timestamptz, 0::bigint
        FROM holdfast_find_peers(m_collector, peers) m;
END
$$;
