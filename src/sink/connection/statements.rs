//! The statements of a lane.

use tokio_postgres::{Client, Error, Statement};

use crate::sink::copy::columns;

/// What every connection of a lane begins with. A zombie must not hold the lane's row for long; the staging table is
/// emptied by each commit; the merge is always the same nested loop over the staged rows, whatever the statistics say
/// of tables that were empty a second ago.
pub(in crate::sink) const SESSION: &str = "
    SET idle_in_transaction_session_timeout = '30s'; SET lock_timeout = '10s'; SET jit = off;
    SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET enable_seqscan = off; SET client_min_messages = warning;
    CREATE TEMP TABLE staged (
        peer_id bigint, route_key bytea, afi integer, safi smallint, path_id bigint, first_time timestamptz,
        last_time timestamptz, flip_time timestamptz, begins_withdrawn boolean, is_withdrawn boolean, learns integer,
        withdraws integer, session timestamptz, generation bigint, seq bigint, idx integer, attributes uuid,
        valid_session timestamptz, valid_generation bigint, prefix cidr, rd text,
        evpn_route_type integer, evpn_rd text, evpn_esi text, evpn_tag bigint, mac_address text, evpn_ip inet,
        evpn_gateway inet, labels bigint[], nlri text, nlri_raw bytea
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE repeated (
        number integer, peer_id bigint, route_key bytea, session timestamptz, generation bigint, seq bigint, idx integer,
        attributes uuid, valid_session timestamptz, valid_generation bigint, prefix cidr, rd text,
        evpn_route_type integer, evpn_rd text, evpn_esi text, evpn_tag bigint, mac_address text, evpn_ip inet,
        evpn_gateway inet, labels bigint[], nlri text, nlri_raw bytea
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE staged_attributes (LIKE path_attributes INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
";

/// Whoever holds the lane's row while this process attaches is a connection that was given up, or a collector that is to be
/// fenced out: neither is waited for as a transaction waits for others.
pub(in crate::sink) const ATTACHING: &str = "SET lock_timeout = '1s'";
/// As in `SESSION`.
pub(in crate::sink) const ATTACHED: &str = "SET lock_timeout = '10s'";

const ATTACH: &str =
    "SELECT epoch, last_seq, digest FROM holdfast_attach($1, $2::text::uuid, $3, $4, $5::text::uuid, $6)";
const FENCE: &str = "SELECT holdfast_fence($1, $2::text::uuid, $3, $4, $5::text::uuid, $6)";
const PEERS: &str = "SELECT peer_index, id, afi, safi, CASE WHEN isfinite(valid_session)
        THEN (extract(epoch FROM valid_session - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint END, valid_generation
    FROM holdfast_merge_peers($1, $2::text::jsonb, $3::text::jsonb, $4::text::jsonb)";
const LOG_GAP: &str = "SELECT holdfast_log_gap($1, $2::text::uuid, $3, $4, $5)";
const ROUTERS: &str = "SELECT holdfast_merge_routers($1, $2::text::jsonb)";

/// Before [`ATTRIBUTES`]: what is here already stays, although nothing may have it yet (`holdfast_clean_attributes`).
const TOUCH: &str = "
    UPDATE path_attributes a SET used_at = now() FROM staged_attributes s
    WHERE a.hash = s.hash AND a.used_at < now() - interval '1 day'";

const ATTRIBUTES: &str =
    "INSERT INTO path_attributes SELECT * FROM staged_attributes ORDER BY hash ON CONFLICT DO NOTHING";

/// Which re-dumped routes change something: all but those that stood just so before. Asked before the merge. A route
/// that a Peer Down or a sweep had ended did not stand, and what a newer session has said is not repeated by an older one.
const CHANGED: &str = "
    SELECT r.number FROM repeated r LEFT JOIN rib_entries e ON e.peer_id = r.peer_id AND e.route_key = r.route_key
        AND NOT e.is_withdrawn AND (e.session, e.generation) >= (r.valid_session, r.valid_generation)
        AND (e.session, e.generation, e.seq, e.idx) < (r.session, r.generation, r.seq, r.idx)
        AND e.attributes = r.attributes AND e.evpn_esi IS NOT DISTINCT FROM r.evpn_esi
        AND e.evpn_gateway IS NOT DISTINCT FROM r.evpn_gateway AND e.labels IS NOT DISTINCT FROM r.labels
        AND e.nlri IS NOT DISTINCT FROM r.nlri
    WHERE e.peer_id IS NULL ORDER BY r.number";

/// Known routes. `was` is what the route was before: ended by a Peer Down or a sweep counts as withdrawn.
const UPDATE: &str = "
    UPDATE rib_entries e SET
        last_seen = greatest(e.last_seen, s.last_time),
        last_state_change = CASE WHEN s.flip_time IS NOT NULL THEN s.flip_time
            WHEN s.begins_withdrawn <> (e.is_withdrawn OR ((e.session, e.generation) < (s.valid_session, s.valid_generation)
                AND (s.session, s.generation) >= (s.valid_session, s.valid_generation))) THEN s.first_time
            ELSE e.last_state_change END,
        learn_count = e.learn_count + s.learns + (NOT s.begins_withdrawn AND (e.is_withdrawn
            OR ((e.session, e.generation) < (s.valid_session, s.valid_generation)
                AND (s.session, s.generation) >= (s.valid_session, s.valid_generation))))::integer,
        withdraw_count = e.withdraw_count + s.withdraws + (s.begins_withdrawn AND NOT (e.is_withdrawn
            OR ((e.session, e.generation) < (s.valid_session, s.valid_generation)
                AND (s.session, s.generation) >= (s.valid_session, s.valid_generation))))::integer,
        is_withdrawn = s.is_withdrawn, session = s.session, generation = s.generation, seq = s.seq, idx = s.idx,
        attributes = coalesce(s.attributes, e.attributes),
        evpn_esi = CASE WHEN s.attributes IS NULL THEN e.evpn_esi ELSE s.evpn_esi END,
        evpn_gateway = CASE WHEN s.attributes IS NULL THEN e.evpn_gateway ELSE s.evpn_gateway END,
        labels = CASE WHEN s.attributes IS NULL THEN e.labels ELSE s.labels END,
        nlri = CASE WHEN s.attributes IS NULL THEN e.nlri ELSE s.nlri END
    FROM staged s
    WHERE e.peer_id = s.peer_id AND e.route_key = s.route_key
        AND (s.session, s.generation, s.seq, s.idx) > (e.session, e.generation, e.seq, e.idx)";

/// New routes. One that is withdrawn before it was ever announced gets its row too: an announcement of an older session
/// that arrives later must not bring it back.
const INSERT: &str = "
    INSERT INTO rib_entries (peer_id, route_key, afi, safi, path_id, first_seen, last_seen, last_state_change,
        session, generation, seq, idx, learn_count, withdraw_count, is_withdrawn, attributes, prefix, rd,
        evpn_route_type, evpn_rd, evpn_esi, evpn_tag, mac_address, evpn_ip, evpn_gateway, labels, nlri, nlri_raw)
    SELECT s.peer_id, s.route_key, s.afi, s.safi, s.path_id, s.first_time, s.last_time, coalesce(s.flip_time, s.first_time),
        s.session, s.generation, s.seq, s.idx, s.learns + (NOT s.begins_withdrawn)::integer, s.withdraws, s.is_withdrawn,
        s.attributes, s.prefix, s.rd, s.evpn_route_type, s.evpn_rd, s.evpn_esi, s.evpn_tag, s.mac_address, s.evpn_ip,
        s.evpn_gateway, s.labels, s.nlri, s.nlri_raw
    FROM staged s
    WHERE NOT EXISTS (SELECT FROM rib_entries e WHERE e.peer_id = s.peer_id AND e.route_key = s.route_key)";

/// The ledger and the checkpoint, together or not at all.
const ADVANCE: &str = "
    WITH advanced AS (
        UPDATE ingest_checkpoint SET last_seq = $7::bigint, digest = $8::bigint, updated_at = now()
        WHERE collector = $1 AND log_id = $2::text::uuid AND lane = $3 AND epoch = $4 AND owner = $5::text::uuid
            AND last_seq = $6::bigint - 1
        RETURNING collector, log_id, lane
    )
    INSERT INTO ingest_ledger (collector, log_id, lane, first_seq, last_seq, records, routes, stored, unchanged, rejected,
        events, gaps, digest)
    SELECT collector, log_id, lane, $6::bigint, $7::bigint, $9::bigint + $10::bigint, $9::bigint,
        $9::bigint - $12::bigint - $13::bigint, $12::bigint, $13::bigint, $10::bigint, $11::bigint, $8::bigint FROM advanced";

const REJECT: &str = "
    INSERT INTO rejected_routes (collector, log_id, seq, idx, lane, sqlstate, error, record, payload)
    VALUES ($1, $2::text::uuid, $3, $4, $5, $6, $7, $8, $9)";

/// All of them, prepared.
pub(in crate::sink) struct Statements {
    pub(in crate::sink) attach: Statement,
    pub(in crate::sink) fence: Statement,
    pub(in crate::sink) peers: Statement,
    pub(in crate::sink) routers: Statement,
    pub(in crate::sink) log_gap: Statement,
    pub(in crate::sink) copy_routes: Statement,
    pub(in crate::sink) copy_events: Statement,
    pub(in crate::sink) copy_statistics: Statement,
    pub(in crate::sink) copy_gaps: Statement,
    pub(in crate::sink) copy_attributes: Statement,
    pub(in crate::sink) copy_staged: Statement,
    pub(in crate::sink) copy_repeated: Statement,
    pub(in crate::sink) copy_rib: Statement,
    pub(in crate::sink) changed: Statement,
    pub(in crate::sink) touch: Statement,
    pub(in crate::sink) attributes: Statement,
    pub(in crate::sink) update: Statement,
    pub(in crate::sink) insert: Statement,
    pub(in crate::sink) advance: Statement,
    pub(in crate::sink) reject: Statement,
}

impl Statements {
    /// Prepares them, in two round trips.
    pub(in crate::sink) async fn prepare(client: &Client) -> Result<Self, Error> {
        let copy_routes = columns::copy_statement("route_updates", columns::ROUTE_UPDATES);
        let copy_events = columns::copy_statement("peer_events", columns::PEER_EVENTS);
        let copy_statistics = columns::copy_statement("peer_stats", columns::PEER_STATS);
        let copy_gaps = columns::copy_statement("collector_gaps", columns::COLLECTOR_GAPS);
        let copy_attributes = columns::copy_statement("staged_attributes", columns::PATH_ATTRIBUTES);
        let copy_staged = columns::copy_statement("staged", columns::STAGED);
        let copy_rib = columns::copy_statement("rib_entries", columns::RIB_ENTRIES);
        let copy_repeated = columns::copy_statement("repeated", columns::REPEATED);
        let (attach, fence, peers, routers, copy_routes, copy_events, copy_statistics, copy_gaps) = tokio::try_join!(
            client.prepare(ATTACH),
            client.prepare(FENCE),
            client.prepare(PEERS),
            client.prepare(ROUTERS),
            client.prepare(&copy_routes),
            client.prepare(&copy_events),
            client.prepare(&copy_statistics),
            client.prepare(&copy_gaps),
        )?;
        let (
            log_gap,
            copy_attributes,
            copy_staged,
            copy_repeated,
            copy_rib,
            changed,
            touch,
            attributes,
            update,
            insert,
            advance,
            reject,
        ) = tokio::try_join!(
            client.prepare(LOG_GAP),
            client.prepare(&copy_attributes),
            client.prepare(&copy_staged),
            client.prepare(&copy_repeated),
            client.prepare(&copy_rib),
            client.prepare(CHANGED),
            client.prepare(TOUCH),
            client.prepare(ATTRIBUTES),
            client.prepare(UPDATE),
            client.prepare(INSERT),
            client.prepare(ADVANCE),
            client.prepare(REJECT),
        )?;
        Ok(Self {
            attach,
            fence,
            peers,
            routers,
            log_gap,
            copy_routes,
            copy_events,
            copy_statistics,
            copy_gaps,
            copy_attributes,
            copy_staged,
            copy_repeated,
            copy_rib,
            changed,
            touch,
            attributes,
            update,
            insert,
            advance,
            reject,
        })
    }
}
