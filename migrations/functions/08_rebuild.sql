-- Comparison of the current table with history, and its repair: `holdfast rebuild-state`.
--
-- The last update of each route in history (kept_routes included) is compared with its row in rib_entries:
-- position, withdrawn or not, all attributes and labels, and whether the Peer Downs and sweeps in history
-- have ended it. Verdicts:
--
--   equal      no difference
--   refreshed  the same at a later position: re-announced unchanged, which has no row (HISTORY_DEDUP)
--   forgotten  withdrawn before the oldest history that is kept
--   different  not as in history
--   missing    in history, not in rib_entries
--   unfounded  in rib_entries, not in history
--   excess     refreshed routes in excess of those that the ledger counts as unchanged
--
-- Times and counters are not compared: what they count may have left history.

CREATE OR REPLACE FUNCTION holdfast_find_last_updates(c_collector text) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp SET jit = off SET work_mem = '128MB' AS $$
BEGIN
    CREATE TEMP TABLE last_positions ON COMMIT DROP AS
        SELECT h.peer_id, h.route_key,
            max(ARRAY[(extract(epoch FROM h.session) * 1000000)::bigint, h.generation, h.seq, h.idx])
                AS position
        FROM peer_route_history h WHERE h.collector = c_collector GROUP BY 1, 2;
    CREATE TEMP TABLE last_updates ON COMMIT DROP AS
        SELECT h.*
        FROM peer_route_history h
        JOIN last_positions l ON l.peer_id = h.peer_id AND l.route_key = h.route_key
            AND l.position = ARRAY[(extract(epoch FROM h.session) * 1000000)::bigint, h.generation, h.seq,
                h.idx]
        WHERE h.collector = c_collector;
    -- A forked log has the records that both copies have in common twice, at the same positions.
    IF (SELECT count(*) FROM last_updates) > (SELECT count(*) FROM last_positions) THEN
        DELETE FROM last_updates a USING last_updates b WHERE a.peer_id = b.peer_id
            AND a.route_key = b.route_key AND a.ctid < b.ctid;
    END IF;
    -- The last Peer Down of each RIB view (afi 0), and the last sweep of each of its families.
    CREATE TEMP TABLE last_ends ON COMMIT DROP AS
        SELECT DISTINCT ON (peer_id, afi, safi) peer_id, coalesce(x.afi, 0) AS afi,
            coalesce(x.safi, 0::smallint) AS safi, x.session, x.generation
        FROM peer_route_ends x JOIN bgp_peers p ON p.id = x.peer_id AND p.collector = c_collector
        ORDER BY peer_id, afi, safi, x.session DESC, x.generation DESC;
    ANALYZE last_updates;
    ANALYZE last_ends;
END
$$;
COMMENT ON FUNCTION holdfast_find_last_updates IS
    'Creates the temporary tables last_updates (the last update of each route of a collector) and
last_ends (the last Peer Down of each RIB view, with afi 0, and the last sweep of each of its families).';

CREATE OR REPLACE FUNCTION holdfast_compare_state(c_collector text) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp SET jit = off SET work_mem = '128MB'
    SET enable_nestloop = off AS $$
BEGIN
    CREATE TEMP TABLE verdicts ON COMMIT DROP AS
    SELECT coalesce(t.peer_id, e.peer_id) AS peer_id, coalesce(t.route_key, e.route_key) AS route_key,
        CASE
            WHEN e.peer_id IS NULL THEN 'missing'
            WHEN t.peer_id IS NULL THEN
                CASE WHEN e.is_withdrawn AND e.last_seen < (SELECT dropped_before FROM partitioned_tables
                    WHERE name = 'route_records') THEN 'forgotten' ELSE 'unfounded' END
            WHEN e.is_withdrawn <> t.is_withdrawn
                OR (e.session, e.generation, e.seq, e.idx) < (t.session, t.generation, t.seq, t.idx)
                OR (t.is_withdrawn
                    AND (e.session, e.generation, e.seq, e.idx) > (t.session, t.generation, t.seq, t.idx))
                OR (holdfast_is_current(e.session, e.generation, e.valid_session, e.valid_generation)
                    AND holdfast_is_current(e.session, e.generation, e.family_session, e.family_generation))
                    <> (holdfast_is_current(e.session, e.generation, coalesce(d.session, '-infinity'),
                        coalesce(d.generation, 0))
                    AND holdfast_is_current(e.session, e.generation, coalesce(s.session, '-infinity'),
                        coalesce(s.generation, 0)))
                OR (NOT t.is_withdrawn AND (e.prefix, e.rd, e.path_id, e.evpn_route_type, e.evpn_rd,
                    e.evpn_esi, e.evpn_tag, e.mac_address, e.evpn_ip, e.evpn_gateway, e.labels, e.nlri,
                    e.nlri_raw, a.origin, a.as_path, a.as_path_text, a.origin_as, a.next_hop,
                    a.next_hop_link_local, a.med, a.local_pref, a.atomic_aggregate, a.aggregator_asn,
                    a.aggregator_address, a.communities, a.extended_communities, a.large_communities,
                    a.originator_id, a.cluster_list, a.aigp, a.otc, a.attributes_raw, a.attributes_more,
                            a.missing, a.discarded, a.path_status, a.path_reason, a.path_marking)
                    IS DISTINCT FROM (t.prefix, t.rd, t.path_id, t.evpn_route_type, t.evpn_rd, t.evpn_esi,
                    t.evpn_tag, t.mac_address, t.evpn_ip, t.evpn_gateway, t.labels, t.nlri, t.nlri_raw,
                    t.origin, t.as_path, t.as_path_text, t.origin_as, t.next_hop, t.next_hop_link_local,
                    t.med, t.local_pref, t.atomic_aggregate, t.aggregator_asn, t.aggregator_address,
                    t.communities, t.extended_communities, t.large_communities, t.originator_id,
                    t.cluster_list, t.aigp, t.otc, t.attributes_raw, t.attributes_more, t.missing,
                            t.discarded, t.path_status, t.path_reason, t.path_marking)) THEN 'different'
            WHEN (e.session, e.generation, e.seq, e.idx) > (t.session, t.generation, t.seq, t.idx) THEN
                'refreshed'
            ELSE 'equal'
        END AS verdict,
        concat_ws(' ', host(coalesce(e.address, p.address)), coalesce(e.rib, p.rib),
        coalesce(holdfast_route_text(e.rd, e.prefix, e.nlri, e.nlri_raw),
                holdfast_route_text(t.rd, t.prefix, t.nlri, t.nlri_raw))) AS route
    FROM last_updates t
    JOIN bgp_peers p ON p.id = t.peer_id
    FULL JOIN (
        SELECT e.*, p.address, p.rib, p.valid_session, p.valid_generation,
            coalesce(f.valid_session, '-infinity') AS family_session,
                coalesce(f.valid_generation, 0) AS family_generation
        FROM rib_entries e JOIN bgp_peers p ON p.id = e.peer_id AND p.collector = c_collector
        LEFT JOIN peer_families f ON f.peer_id = e.peer_id AND f.afi = e.afi AND f.safi = e.safi
    ) e ON e.peer_id = t.peer_id AND e.route_key = t.route_key
    LEFT JOIN path_attributes a ON a.hash = e.attributes
    LEFT JOIN last_ends d ON d.peer_id = e.peer_id AND d.afi = 0
    LEFT JOIN last_ends s ON s.peer_id = e.peer_id AND s.afi = e.afi AND s.safi = e.safi;
END
$$;
COMMENT ON FUNCTION holdfast_compare_state IS
    'Creates the temporary table verdicts: the result of the comparison for each route.';

CREATE OR REPLACE FUNCTION holdfast_repair_state(c_collector text) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp SET jit = off SET work_mem = '128MB'
    SET enable_nestloop = off AS $$
BEGIN
    UPDATE bgp_peers p SET valid_session = n.session, valid_generation = n.generation
    FROM (SELECT p.id, coalesce(d.session, '-infinity') AS session, coalesce(d.generation, 0) AS generation
          FROM bgp_peers p LEFT JOIN last_ends d ON d.peer_id = p.id AND d.afi = 0
          WHERE p.collector = c_collector) n
    WHERE p.id = n.id AND (p.valid_session, p.valid_generation) <> (n.session, n.generation);
    UPDATE peer_families f SET valid_session = n.session, valid_generation = n.generation
    FROM (SELECT f.peer_id, f.afi, f.safi, coalesce(s.session, '-infinity') AS session,
              coalesce(s.generation, 0) AS generation
          FROM peer_families f JOIN bgp_peers p ON p.id = f.peer_id AND p.collector = c_collector
          LEFT JOIN last_ends s ON s.peer_id = f.peer_id AND s.afi = f.afi AND s.safi = f.safi AND s.afi <> 0
    ) n
    WHERE (f.peer_id, f.afi, f.safi) = (n.peer_id, n.afi, n.safi)
        AND (f.valid_session, f.valid_generation) <> (n.session, n.generation);

    DELETE FROM rib_entries e USING verdicts w
    WHERE w.verdict = 'unfounded' AND e.peer_id = w.peer_id AND e.route_key = w.route_key;

    CREATE TEMP TABLE mismatches ON COMMIT DROP AS
        SELECT w.verdict, t.*, CASE WHEN NOT t.is_withdrawn THEN
            md5(concat_ws('|', 'rebuilt', c_collector, (t.origin, t.as_path, t.as_path_text, t.origin_as,
            t.next_hop, t.next_hop_link_local, t.med, t.local_pref, t.atomic_aggregate, t.aggregator_asn,
            t.aggregator_address, t.communities, t.extended_communities, t.large_communities, t.originator_id,
            t.cluster_list, t.aigp, t.otc, t.attributes_raw, t.attributes_more, t.missing,
                    t.discarded, t.path_status, t.path_reason, t.path_marking)::text))::uuid END AS hash
        FROM verdicts w JOIN last_updates t USING (peer_id, route_key)
            WHERE w.verdict IN ('different', 'missing');
    INSERT INTO path_attributes (hash, origin, as_path, as_path_text, origin_as, next_hop,
        next_hop_link_local, med, local_pref,
            atomic_aggregate, aggregator_asn, aggregator_address, communities, extended_communities,
            large_communities, originator_id, cluster_list, aigp, otc, attributes_raw, attributes_more,
            missing, discarded, path_status, path_reason, path_marking)
        SELECT DISTINCT ON (hash) hash, origin, as_path, as_path_text, origin_as, next_hop,
            next_hop_link_local, med, local_pref, atomic_aggregate, aggregator_asn, aggregator_address,
            communities, extended_communities, large_communities, originator_id, cluster_list, aigp, otc,
            attributes_raw, attributes_more, missing, discarded, path_status, path_reason, path_marking
        FROM mismatches WHERE hash IS NOT NULL
        ON CONFLICT (hash) DO UPDATE SET used_at = now();

    UPDATE rib_entries e SET is_withdrawn = t.is_withdrawn, attributes = coalesce(t.hash, e.attributes),
        session = n.session, generation = n.generation, seq = n.seq, idx = n.idx, afi = t.afi, safi = t.safi,
        path_id = t.path_id, prefix = t.prefix, rd = t.rd, evpn_route_type = t.evpn_route_type,
        evpn_rd = t.evpn_rd, evpn_esi = t.evpn_esi, evpn_tag = t.evpn_tag, mac_address = t.mac_address,
        evpn_ip = t.evpn_ip, evpn_gateway = t.evpn_gateway, labels = t.labels, nlri = t.nlri,
        nlri_raw = t.nlri_raw
    FROM mismatches t
    JOIN rib_entries o ON o.peer_id = t.peer_id AND o.route_key = t.route_key
    CROSS JOIN LATERAL (
        SELECT x.* FROM (VALUES (o.session, o.generation, o.seq, o.idx, NOT t.is_withdrawn
            AND NOT o.is_withdrawn), (t.session, t.generation, t.seq, t.idx, true)) AS x
                (session, generation, seq, idx, counts)
        WHERE x.counts ORDER BY x.session DESC, x.generation DESC, x.seq DESC, x.idx DESC LIMIT 1) n
    WHERE t.verdict = 'different' AND e.peer_id = t.peer_id AND e.route_key = t.route_key;

    INSERT INTO rib_entries (peer_id, route_key, afi, safi, path_id, first_seen, last_seen, last_state_change,
        session, generation, seq,
            idx, learn_count, withdraw_count, is_withdrawn, attributes, prefix, rd, evpn_route_type, evpn_rd,
            evpn_esi, evpn_tag, mac_address, evpn_ip, evpn_gateway, labels, nlri, nlri_raw)
        SELECT t.peer_id, t.route_key, t.afi, t.safi, t.path_id, c.first_seen, c.last_seen,
            c.last_state_change, t.session, t.generation, t.seq, t.idx, c.learn_count, c.withdraw_count,
            t.is_withdrawn, t.hash, t.prefix, t.rd, t.evpn_route_type, t.evpn_rd, t.evpn_esi, t.evpn_tag,
            t.mac_address, t.evpn_ip, t.evpn_gateway, t.labels, t.nlri, t.nlri_raw
        FROM mismatches t JOIN holdfast_count_missing_routes() c USING (peer_id, route_key)
        WHERE t.verdict = 'missing';
END
$$;
COMMENT ON FUNCTION holdfast_repair_state IS
    'Changes the rows that differ to what history has. A position later than that of the last update in
history is kept, because the route may have been re-announced.';

CREATE OR REPLACE FUNCTION holdfast_count_missing_routes()
RETURNS TABLE (peer_id bigint, route_key bytea, first_seen timestamptz, last_seen timestamptz,
    last_state_change timestamptz, learn_count integer, withdraw_count integer)
LANGUAGE plpgsql SET search_path = @schema@, pg_temp SET jit = off SET work_mem = '128MB'
    SET enable_nestloop = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH updates AS (
        SELECT t.peer_id, h.route_key, h.time, h.is_withdrawn, h.session, h.generation,
            coalesce(lag(h.is_withdrawn) OVER same, true) AS was_withdrawn,
            lag(h.session) OVER same AS old_session, lag(h.generation) OVER same AS old_generation
        FROM mismatches t JOIN peer_route_history h ON h.peer_id = t.peer_id AND h.route_key = t.route_key
        WHERE t.verdict = 'missing'
        WINDOW same AS (PARTITION BY t.peer_id, h.route_key ORDER BY h.session, h.generation, h.seq, h.idx)
    ), changes AS (
        SELECT s.*, s.was_withdrawn OR ((s.session, s.generation) <> (s.old_session, s.old_generation)
            AND EXISTS (SELECT FROM peer_route_ends x WHERE x.peer_id = s.peer_id AND x.afi IS NULL
                AND NOT holdfast_is_current(s.old_session, s.old_generation, x.session, x.generation)
                AND holdfast_is_current(s.session, s.generation, x.session, x.generation))) AS was_gone
        FROM updates s
    )
    SELECT f.peer_id, f.route_key, min(f.time), max(f.time),
        coalesce(max(f.time) FILTER (WHERE f.was_gone <> f.is_withdrawn), min(f.time)),
        (count(*) FILTER (WHERE NOT f.is_withdrawn AND f.was_gone))::integer,
        (count(*) FILTER (WHERE f.is_withdrawn AND NOT f.was_gone))::integer
    FROM changes f GROUP BY 1, 2;
END
$$;
COMMENT ON FUNCTION holdfast_count_missing_routes IS
    'Times and counters of missing routes, as far back as history reaches. A Peer Down ends a route
without a row.';

CREATE OR REPLACE FUNCTION holdfast_rebuild_state(c_collector text, repair boolean)
RETURNS TABLE (verdict text, routes bigint, example text)
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM holdfast_find_last_updates(c_collector);
    PERFORM holdfast_compare_state(c_collector);
    IF repair THEN
        PERFORM holdfast_repair_state(c_collector);
    END IF;
    RETURN QUERY
        SELECT f.verdict, count(*), min(f.route) FROM verdicts f GROUP BY 1
        UNION ALL
        SELECT 'excess', r.n - l.n, format('%s are refreshed, the ledger counts %s unchanged', r.n, l.n)
        FROM (SELECT count(*) AS n FROM verdicts WHERE verdict = 'refreshed') r,
            (SELECT coalesce(sum(unchanged), 0)::bigint AS n FROM ingest_ledger
             WHERE collector = c_collector) l
        WHERE r.n > l.n;
END
$$;
COMMENT ON FUNCTION holdfast_rebuild_state IS
    'Compares the current table of a collector with history, and repairs it if `repair`. Returns what the
comparison found. To be called in a REPEATABLE READ transaction; for a repair, lock ingest_checkpoint
first, so that no lane stores meanwhile.';
