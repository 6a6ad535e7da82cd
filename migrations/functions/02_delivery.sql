-- Delivery: fencing of lanes, forks of a log, and gaps.

CREATE OR REPLACE FUNCTION holdfast_attach(
    a_collector text, a_log_id uuid, a_lane integer, a_lanes integer, a_owner uuid, a_epoch bigint
) RETURNS TABLE (epoch bigint, last_seq bigint, digest bigint)
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
#variable_conflict use_column
DECLARE
    held ingest_checkpoint%ROWTYPE;
    next_epoch bigint := coalesce(a_epoch, 0) + 1;
    start_seq bigint := 0;
    start_digest bigint := 0;
    started timestamptz := (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid());
BEGIN
    SELECT * INTO held FROM ingest_checkpoint
        WHERE collector = a_collector AND log_id = a_log_id AND lane = a_lane FOR UPDATE;
    IF NOT FOUND THEN
        -- A log of an earlier release has no live lanes, and what its lanes have delivered has no batch for
        -- them.
        IF a_lane >= a_lanes AND a_lanes = (SELECT count(*) FROM ingest_checkpoint c
                WHERE c.collector = a_collector AND c.log_id = a_log_id AND c.lane < a_lanes) THEN
            SELECT c.last_seq, c.digest INTO start_seq, start_digest FROM ingest_checkpoint c
                WHERE c.collector = a_collector AND c.log_id = a_log_id AND c.lane < a_lanes
                ORDER BY c.last_seq LIMIT 1;
        END IF;
        INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, epoch, owner, backend_pid,
                backend_start, last_seq, digest, begins_after, updated_at)
            VALUES (a_collector, a_log_id, a_lane, a_lanes, next_epoch, a_owner, pg_backend_pid(), started,
                start_seq, start_digest, start_seq, now());
        RETURN QUERY SELECT next_epoch, start_seq, start_digest;
        RETURN;
    END IF;
    IF held.lanes <> a_lanes THEN
        RAISE EXCEPTION 'log % was created with % lanes, but % are configured', a_log_id, held.lanes, a_lanes
            USING ERRCODE = 'BM002';
    END IF;
    IF held.owner <> a_owner THEN
        IF held.epoch >= a_epoch THEN
            RAISE EXCEPTION 'lane % of log % was taken over (epoch %)', a_lane, a_log_id, held.epoch
                USING ERRCODE = 'BM001', HINT = 'Another collector runs with the same COLLECTOR_ID and log.';
        END IF;
        held.epoch := greatest(held.epoch + 1, next_epoch);
    END IF;
    UPDATE ingest_checkpoint AS c
        SET epoch = held.epoch, owner = a_owner, backend_pid = pg_backend_pid(), backend_start = started,
            updated_at = now()
        WHERE collector = a_collector AND log_id = a_log_id AND lane = a_lane;
    RETURN QUERY SELECT held.epoch, held.last_seq, held.digest;
END
$$;
COMMENT ON FUNCTION holdfast_attach IS
    'Takes a lane over, or reconnects to it. A process that starts passes a_epoch null and takes over: the
earlier holder is fenced out. A reconnect passes the epoch that it held and succeeds only if no other
process has taken the lane over, so that two collectors do not take it from each other in turns. A missing
row or an earlier epoch means that an older copy of the database was restored: delivery resumes behind
what that has. Returns epoch, last_seq and digest of the checkpoint.';

CREATE OR REPLACE FUNCTION holdfast_change_lanes(c_collector text, c_log_id uuid, c_owner uuid,
    c_from integer, c_to integer, c_seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    first ingest_checkpoint%ROWTYPE;
    unexpected integer;
BEGIN
    PERFORM FROM ingest_checkpoint WHERE collector = c_collector AND log_id = c_log_id ORDER BY lane
        FOR UPDATE;
    SELECT min(l) INTO unexpected
        FROM generate_series(0, greatest(2 * c_from - 1, (SELECT max(lane) FROM ingest_checkpoint
            WHERE collector = c_collector AND log_id = c_log_id))) l
        LEFT JOIN ingest_checkpoint c ON c.collector = c_collector AND c.log_id = c_log_id AND c.lane = l
        WHERE (c.lanes, c.owner, c.last_seq) IS DISTINCT FROM (c_from, c_owner, c_seq);
    IF unexpected IS NOT NULL THEN
        RAISE EXCEPTION 'lane % of log % has not delivered batch %, or is held by another process',
            unexpected, c_log_id, c_seq
            USING ERRCODE = 'BM003', HINT = 'The number of lanes is changed at the next start.';
    END IF;
    SELECT * INTO first FROM ingest_checkpoint
        WHERE collector = c_collector AND log_id = c_log_id AND lane = 0;
    DELETE FROM ingest_checkpoint
        WHERE collector = c_collector AND log_id = c_log_id AND lane >= 2 * c_to;
    UPDATE ingest_checkpoint SET lanes = c_to WHERE collector = c_collector AND log_id = c_log_id;
    INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, epoch, owner, backend_pid, last_seq,
        digest, forked_from, forked_at, begins_after, updated_at)
    SELECT c_collector, c_log_id, l, c_to, first.epoch, c_owner, first.backend_pid, c_seq, first.digest,
        first.forked_from, first.forked_at, c_seq, now()
    FROM generate_series(2 * c_from, 2 * c_to - 1) l;
END
$$;
COMMENT ON FUNCTION holdfast_change_lanes IS
    'Changes the number of lanes of each class of a log from c_from to c_to, after its lanes have delivered
batch c_seq and no later one. New lanes begin after it. Raises BM003 if a lane is elsewhere.';

CREATE OR REPLACE FUNCTION holdfast_fork(
    f_collector text, f_old uuid, f_new uuid, f_lanes integer, f_lane integer, f_at bigint, f_digest bigint
) RETURNS void
LANGUAGE sql SET search_path = @schema@, pg_temp AS $$
    INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, epoch, owner, backend_pid, backend_start,
        last_seq, digest, forked_from, forked_at, updated_at)
    VALUES (f_collector, f_new, f_lane, f_lanes, 0, '00000000-0000-0000-0000-000000000000', 0, NULL, f_at,
        f_digest, f_old, f_at, now())
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION holdfast_fork IS
    'Starts the delivery of one lane of a forked log under its new identifier, behind the last batch that
it has in common with the original log. Does nothing if the fork was started before.';

CREATE OR REPLACE FUNCTION holdfast_evict(a_collector text, a_log_id uuid, a_lane integer) RETURNS boolean
LANGUAGE sql SET search_path = @schema@, pg_temp AS $$
    SELECT coalesce(bool_or(pg_terminate_backend(a.pid)), false)
    FROM ingest_checkpoint c
    JOIN pg_stat_activity a ON a.pid = c.backend_pid AND a.backend_start = c.backend_start
    WHERE c.collector = a_collector AND c.log_id = a_log_id AND c.lane = a_lane AND a.pid <> pg_backend_pid()
$$;
COMMENT ON FUNCTION holdfast_evict IS
    'Terminates the backend that holds the lane: a half-open TCP connection would keep its locks for
hours. Returns whether there was one.';

CREATE OR REPLACE FUNCTION holdfast_fence(
    f_collector text, f_log_id uuid, f_lane integer, f_epoch bigint, f_owner uuid, f_first_seq bigint
) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    held ingest_checkpoint%ROWTYPE;
BEGIN
    SELECT * INTO held FROM ingest_checkpoint
        WHERE collector = f_collector AND log_id = f_log_id AND lane = f_lane FOR UPDATE;
    IF NOT FOUND OR held.epoch <> f_epoch OR held.owner <> f_owner THEN
        RAISE EXCEPTION 'lane % of log % was taken over: its epoch is %, this process holds %', f_lane,
            f_log_id, held.epoch, f_epoch
            USING ERRCODE = 'BM001', HINT = 'Another collector runs with the same COLLECTOR_ID and log.';
    END IF;
    IF held.last_seq <> f_first_seq - 1 THEN
        RAISE EXCEPTION 'the checkpoint of lane % of log % is at %, so % does not follow', f_lane, f_log_id,
            held.last_seq, f_first_seq USING ERRCODE = 'BM003';
    END IF;
END
$$;
COMMENT ON FUNCTION holdfast_fence IS
    'First call of every transaction of a lane. Raises BM001 if another process holds the lane, BM003 if
f_first_seq does not follow the checkpoint. It raises on the server, so that a process that was fenced out
stores nothing even if it has pipelined its whole transaction.';

CREATE OR REPLACE FUNCTION holdfast_order(o_collector text, o_log_id uuid, o_lane integer, o_seq bigint)
RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    delivered bigint := (SELECT last_seq FROM ingest_checkpoint
        WHERE collector = o_collector AND log_id = o_log_id AND lane = o_lane);
BEGIN
    IF delivered IS NULL OR delivered < o_seq THEN
        RAISE EXCEPTION 'lane % of log % has delivered batch %, but this transaction follows batch %', o_lane,
            o_log_id, coalesce(delivered, 0), o_seq
            USING ERRCODE = 'BM003', HINT = 'The database was restored; the lanes attach again.';
    END IF;
END
$$;
COMMENT ON FUNCTION holdfast_order IS
    'Call of a transaction of a lane after the fence: raises BM003 unless lane o_lane has delivered batch
o_seq. The process waits for that before it sends the transaction; this call keeps the order of each route
even if the database has lost commits since.';

CREATE OR REPLACE FUNCTION holdfast_log_gap(g_collector text, g_log_id uuid, g_first bigint, g_last bigint,
    g_reason text) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
BEGIN
    -- Held until the transaction ends: two lanes record the same range at about the same time.
    PERFORM pg_advisory_xact_lock(hashtextextended(g_collector || g_log_id, 0));
    INSERT INTO collector_gaps (collector, log_id, first_seq, last_seq, reason)
    SELECT g_collector, g_log_id, lower(part), upper(part) - 1, g_reason
    FROM unnest(int8multirange(int8range(g_first, g_last, '[]')) - coalesce((
        SELECT range_agg(int8range(first_seq, last_seq, '[]')) FROM collector_gaps
        WHERE collector = g_collector AND log_id = g_log_id AND first_seq <= g_last AND last_seq >= g_first
        ), '{}')) AS part;
END
$$;
COMMENT ON FUNCTION holdfast_log_gap IS
    'Records a range of the log that a lane could not read. Every lane records the ranges that it meets,
because bit rot after one lane has passed a batch concerns the other lanes only. Parts that another lane
has recorded are not recorded again.';

CREATE OR REPLACE FUNCTION holdfast_row_trigger() RETURNS text
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp AS $$
    SELECT format('%s on %s', tgname, tgrelid::regclass) FROM pg_trigger
    WHERE tgrelid IN (
            SELECT unnest('{route_records,rejected_routes,rib_entries,swept_routes}'::regclass[])
            UNION ALL
            SELECT inhrelid FROM pg_inherits
            WHERE inhparent IN ('route_records'::regclass, 'swept_routes'::regclass))
        -- FOR EACH ROW, BEFORE, INSERT
        AND tgtype & 7 = 7 AND NOT tgisinternal AND tgenabled <> 'D'
        -- of TimescaleDB, on the parent of the chunks
        AND tgname <> 'ts_insert_blocker'
    ORDER BY tgrelid LIMIT 1
$$;
COMMENT ON FUNCTION holdfast_row_trigger IS
    'A trigger that may drop rows that a lane copies into the tables whose rows it counts; null if there is
none.';

CREATE OR REPLACE FUNCTION holdfast_no_row_trigger() RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    found text := holdfast_row_trigger();
BEGIN
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'the trigger % may drop rows', found USING ERRCODE = 'BM004',
            HINT = 'The lane attaches again, and then counts the stored rows before each COMMIT.';
    END IF;
END
$$;
COMMENT ON FUNCTION holdfast_no_row_trigger IS
    'Call of a transaction after its last COPY, unless it waits for the numbers of stored rows: raises BM004
if a trigger may have dropped rows.';
