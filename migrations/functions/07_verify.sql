-- Proof of exactly-once delivery, per log: what the ledger counts as stored against the rows that exist.
-- Every record (log_id, seq, idx) is in one table; seq is dense from 1 to the checkpoint, and idx is dense
-- from 0 in each seq, except for ranges in collector_gaps and for re-dumped routes that the ledger counts
-- as unchanged. A forked log begins behind its fork. Of rows that retention has dropped only the number is
-- known: up to the last of them, only counts are compared.
-- Rows that were stored under two log ids of one collector, as after the loss of a marker file, are found by
-- a digest of their contents: they have the same seq and idx in both logs.

CREATE OR REPLACE FUNCTION holdfast_verify(v_collector text)
RETURNS TABLE (log_id uuid, delivered_seq bigint, ledger_records bigint, stored_records bigint,
    missing bigint, doubled bigint, gap_seqs bigint, ledger_breaks bigint)
LANGUAGE sql STABLE AS $$
    WITH checkpoints AS (
        SELECT c.log_id, min(c.last_seq) AS delivered_seq, max(c.forked_at) AS forked_at
        FROM @schema@.ingest_checkpoint c WHERE c.collector = v_collector GROUP BY 1
    ), logs AS (
        SELECT c.log_id, c.delivered_seq, c.forked_at, coalesce(sum(d.records), 0)::bigint AS n_dropped,
            greatest(c.forked_at, max(d.last_seq)) AS whole_after
        FROM checkpoints c LEFT JOIN @schema@.dropped_records d ON d.collector = v_collector
            AND d.log_id = c.log_id GROUP BY 1, 2, 3
    ), rows AS (
        SELECT s.log_id, s.seq, count(*) AS n, count(DISTINCT s.idx) AS n_distinct,
            max(s.idx) + 1 AS n_expected
        FROM @schema@.stored_records s WHERE s.collector = v_collector GROUP BY 1, 2
    ), sums AS (
        SELECT r.log_id, sum(n)::bigint AS n, sum(n_distinct)::bigint AS n_distinct,
            -- Only sequence numbers that every lane has passed must be complete.
            coalesce(sum(n_expected - n_distinct) FILTER (WHERE is_whole), 0)::bigint AS idx_holes,
            count(*) FILTER (WHERE is_whole) AS seqs
        FROM rows r JOIN logs l USING (log_id)
        -- A batch that was corrupted after one lane had read it is stored in part, and recorded as a gap.
        CROSS JOIN LATERAL (SELECT r.seq > l.whole_after AND r.seq <= l.delivered_seq AND NOT EXISTS (
            SELECT FROM @schema@.collector_gaps g WHERE g.collector = v_collector AND g.log_id = r.log_id
                AND r.seq BETWEEN g.first_seq AND g.last_seq) AS is_whole) w
        GROUP BY 1
    ), shared AS (
        SELECT seq FROM rows GROUP BY seq HAVING count(*) > 1
    ), contents AS (
        SELECT u.log_id, seq, u.idx, concat_ws('|', u.time, u.session, u.generation, u.router, u.bgp_peer_ip,
            u.rib, u.route_key, u.is_withdrawn, u.as_path, u.next_hop) AS content
        FROM @schema@.route_updates u JOIN shared USING (seq) WHERE u.collector = v_collector
        UNION ALL SELECT e.log_id, seq, e.idx, concat_ws('|', e.time, e.session, e.generation, e.router,
            e.bgp_peer_ip, e.rib, e.event_type, e.afi, e.safi, e.detail)
        FROM @schema@.peer_events e JOIN shared USING (seq) WHERE e.collector = v_collector
        UNION ALL SELECT p.log_id, seq, p.idx, concat_ws('|', p.time, p.session, p.generation, p.router,
            p.bgp_peer_ip, p.rib, p.statistics)
        FROM @schema@.peer_stats p JOIN shared USING (seq) WHERE p.collector = v_collector
    ), copies AS (
        -- All but the first log with a record have it as a copy.
        SELECT c.log_id, count(*)::bigint AS n
        FROM (SELECT c.log_id, dense_rank() OVER (PARTITION BY c.seq, c.idx, hashtextextended(c.content, 0)
                  ORDER BY c.log_id) AS number FROM contents c) c
        WHERE c.number > 1 GROUP BY 1
    ), gaps AS (
        SELECT g.log_id,
            sum(least(g.last_seq, l.delivered_seq) - greatest(g.first_seq, l.forked_at + 1) + 1)::bigint AS n,
            sum(greatest(least(g.last_seq, l.delivered_seq)
                - greatest(g.first_seq - 1, l.whole_after), 0))::bigint AS n_whole
        FROM @schema@.collector_gaps g JOIN logs l USING (log_id)
        WHERE g.collector = v_collector AND g.first_seq <= l.delivered_seq AND g.last_seq > l.forked_at
        GROUP BY 1
    ), ledger AS (
        SELECT i.log_id, sum(i.records)::bigint AS n, sum(i.unchanged)::bigint AS n_unchanged,
            sum(i.breaks)::bigint AS breaks
        -- Rows of a lane up to begins_after are of an earlier lane with this number, and a number without a
        -- checkpoint is that of a lane that was removed.
        FROM (SELECT i.log_id, i.records, i.unchanged, (i.first_seq <> 1 + CASE
                  WHEN i.first_seq > c.begins_after AND coalesce(i.previous, 0) <= c.begins_after
                      THEN greatest(c.forked_at, c.begins_after)
                  ELSE coalesce(i.previous, i.first_seq - 1) END)::integer AS breaks
              FROM (SELECT l.*, lag(l.last_seq) OVER (PARTITION BY l.log_id, l.lane ORDER BY l.first_seq)
                        AS previous
                    FROM @schema@.ingest_ledger l WHERE l.collector = v_collector) i
              LEFT JOIN @schema@.ingest_checkpoint c USING (collector, log_id, lane)) i GROUP BY 1
    )
    SELECT l.log_id, l.delivered_seq, coalesce(e.n, 0), coalesce(s.n, 0),
        greatest(coalesce(e.n, 0) - coalesce(e.n_unchanged, 0) - l.n_dropped - coalesce(s.n_distinct, 0),
            coalesce(s.idx_holes, 0) + greatest(l.delivered_seq - l.whole_after, 0) - coalesce(s.seqs, 0)
                - coalesce(g.n_whole, 0) - coalesce(e.n_unchanged, 0), 0),
        coalesce(s.n - s.n_distinct, 0) + coalesce(c.n, 0), coalesce(g.n, 0), coalesce(e.breaks, 0)
    FROM logs l LEFT JOIN sums s USING (log_id) LEFT JOIN gaps g USING (log_id)
    LEFT JOIN ledger e USING (log_id) LEFT JOIN copies c USING (log_id)
    ORDER BY 1
$$;
COMMENT ON FUNCTION holdfast_verify IS
    'Compares the ledger of a collector with the stored records, per log. missing, doubled and
ledger_breaks are 0 if every record was delivered exactly once. doubled includes records that another
log id of the collector has as well.';
