-- Periodic maintenance of what grows without bound, and samples of table sizes.

CREATE OR REPLACE FUNCTION holdfast_fold_ledger(keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    deleted_rows bigint;
BEGIN
    -- `holdfast rejected retry` takes the same lock: it updates a row that must not be deleted meanwhile.
    PERFORM pg_advisory_xact_lock(hashtext('ingest_ledger'));
    WITH marked AS (
        SELECT *, coalesce(first_seq <> 1 + lag(last_seq) OVER same
            OR date_trunc('hour', committed_at) <> date_trunc('hour', lag(committed_at) OVER same), true)
                AS begins_run
        FROM ingest_ledger
        WHERE committed_at < date_trunc('hour', now() - keep)
        WINDOW same AS (PARTITION BY collector, log_id, lane ORDER BY first_seq)
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE begins_run) OVER
            (PARTITION BY collector, log_id, lane ORDER BY first_seq) AS run FROM marked
    ), runs AS (
        SELECT collector, log_id, lane, min(first_seq) AS first_seq, max(last_seq) AS last_seq,
            sum(records) AS records, sum(routes) AS routes, sum(stored) AS stored,
            sum(unchanged) AS unchanged, sum(rejected) AS rejected, sum(events) AS events, sum(gaps) AS gaps,
            (array_agg(digest ORDER BY last_seq DESC))[1] AS digest, max(committed_at) AS committed_at
        FROM numbered GROUP BY collector, log_id, lane, run HAVING count(*) > 1
    ), deleted AS (
        DELETE FROM ingest_ledger i USING runs r
        WHERE i.collector = r.collector AND i.log_id = r.log_id AND i.lane = r.lane
            AND i.first_seq > r.first_seq AND i.first_seq <= r.last_seq
        RETURNING 1
    ), widened AS (
        UPDATE ingest_ledger i SET last_seq = r.last_seq, records = r.records, routes = r.routes,
            stored = r.stored, unchanged = r.unchanged, rejected = r.rejected, events = r.events,
            gaps = r.gaps, digest = r.digest, committed_at = r.committed_at
        FROM runs r
        WHERE i.collector = r.collector AND i.log_id = r.log_id AND i.lane = r.lane
            AND i.first_seq = r.first_seq
    )
    SELECT count(*) INTO deleted_rows FROM deleted;
    RETURN deleted_rows;
END
$$;
COMMENT ON FUNCTION holdfast_fold_ledger IS
    'Folds rows of ingest_ledger older than `keep` into one row per hour, because one per transaction is
some hundred thousand a day. Sums are preserved, the digest is that of the last batch, and rows that do
not follow on each other are not joined, so that holdfast_verify reports the same breaks. Forks of a log
are found by the same digests. Returns the number of deleted rows.';

CREATE OR REPLACE FUNCTION holdfast_clean_attributes(grace interval, every interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    deleted_rows bigint;
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
    GET DIAGNOSTICS deleted_rows = ROW_COUNT;
    INSERT INTO upkeep VALUES ('path_attributes', now()) ON CONFLICT (task) DO UPDATE
        SET done_at = excluded.done_at;
    RETURN deleted_rows;
END
$$;
COMMENT ON FUNCTION holdfast_clean_attributes IS
    'Deletes attribute sets that no route refers to and no lane has used for `grace`, unless it ran within
`every`. Returns their number. A lane that is about to use a set moves its used_at forward first, which
locks the row, unless it lies within a day; this function leaves the sets of the last two days, skips
locked rows and re-checks rows that have changed. So no set in use is deleted, this function waits for no
lane, and a lane waits for one statement of this function at most.';

CREATE OR REPLACE FUNCTION holdfast_sample_sizes(every interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    made bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('rib_sizes'))
        OR EXISTS (SELECT FROM rib_sizes WHERE time > now() - every) THEN
        RETURN 0;
    END IF;
    INSERT INTO rib_sizes
        SELECT now(), peer_id, afi, safi, count(*) FROM stored_routes WHERE NOT is_withdrawn GROUP BY 2, 3, 4;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
END
$$;
COMMENT ON FUNCTION holdfast_sample_sizes IS
    'Adds a sample to rib_sizes unless the last one is younger than `every`. Returns its number of rows.';
