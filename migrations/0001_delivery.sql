-- Delivery: who may store, how far it is, and what each transaction stored.

-- Microseconds since the epoch as the collector counts them; exact, where to_timestamp(double) is not.
CREATE FUNCTION holdfast_time(microseconds bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT timestamptz '1970-01-01 00:00:00+00' + microseconds * interval '1 microsecond'
$$;

-- One row per lane of a log, kept for ever. Whoever holds (owner, epoch) may store what follows last_seq.
CREATE TABLE ingest_checkpoint (
    collector     text NOT NULL,
    log_id        uuid NOT NULL,
    lane          integer NOT NULL,
    lanes         integer NOT NULL CHECK (lanes > lane AND lane >= 0),
    epoch         bigint NOT NULL,
    owner         uuid NOT NULL,
    backend_pid   integer NOT NULL,
    backend_start timestamptz,
    last_seq      bigint NOT NULL,
    -- Of the log's batch at last_seq, so that a log which is not the one that was delivered is recognised; 0: unknown.
    digest        bigint NOT NULL,
    -- The log was a copy of forked_from up to forked_at, and is delivered under an id of its own from there on.
    forked_from   uuid,
    forked_at     bigint NOT NULL DEFAULT 0,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (collector, log_id, lane)
) WITH (fillfactor = 50);

-- One row per transaction, and later per hour: routes = stored + unchanged + rejected, records = routes + events.
CREATE TABLE ingest_ledger (
    collector    text NOT NULL,
    log_id       uuid NOT NULL,
    lane         integer NOT NULL,
    first_seq    bigint NOT NULL,
    last_seq     bigint NOT NULL,
    records      bigint NOT NULL,
    routes       bigint NOT NULL,
    stored       bigint NOT NULL,
    unchanged    bigint NOT NULL,
    rejected     bigint NOT NULL,
    events       bigint NOT NULL,
    gaps         bigint NOT NULL,
    digest       bigint NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (collector, log_id, lane, first_seq),
    CHECK (routes = stored + unchanged + rejected AND records = routes + events AND last_seq >= first_seq)
);

-- Makes one row of those of an hour, once they are older than `keep`: one per transaction is up to some hundred thousand a day.
-- Sums stay as they were, the digest is that of the last batch, and what does not follow on is left as it is, so that
-- holdfast_verify sees the same breaks. A forked log is recognised by the same digest; its last batch in common is found among
-- those that rows end with, so by the hour for what is older. Returns how many rows are gone.
CREATE FUNCTION holdfast_fold_ledger(keep interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
BEGIN
    -- Whoever stores a rejected record counts it in a row that must not go away meanwhile.
    PERFORM pg_advisory_xact_lock(hashtext('ingest_ledger'));
    WITH marked AS (
        SELECT *, coalesce(first_seq <> 1 + lag(last_seq) OVER same
            OR date_trunc('hour', committed_at) <> date_trunc('hour', lag(committed_at) OVER same), true) AS begins
        FROM ingest_ledger
        WHERE committed_at < date_trunc('hour', now() - keep)
        WINDOW same AS (PARTITION BY collector, log_id, lane ORDER BY first_seq)
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY collector, log_id, lane ORDER BY first_seq) AS run FROM marked
    ), runs AS (
        SELECT collector, log_id, lane, min(first_seq) AS first_seq, max(last_seq) AS last_seq, sum(records) AS records,
            sum(routes) AS routes, sum(stored) AS stored, sum(unchanged) AS unchanged, sum(rejected) AS rejected,
            sum(events) AS events, sum(gaps) AS gaps, (array_agg(digest ORDER BY last_seq DESC))[1] AS digest,
            max(committed_at) AS committed_at
        FROM numbered GROUP BY collector, log_id, lane, run HAVING count(*) > 1
    ), deleted AS (
        DELETE FROM ingest_ledger i USING runs r
        WHERE i.collector = r.collector AND i.log_id = r.log_id AND i.lane = r.lane AND i.first_seq > r.first_seq
            AND i.first_seq <= r.last_seq
        RETURNING 1
    ), widened AS (
        UPDATE ingest_ledger i SET last_seq = r.last_seq, records = r.records, routes = r.routes, stored = r.stored,
            unchanged = r.unchanged, rejected = r.rejected, events = r.events, gaps = r.gaps, digest = r.digest,
            committed_at = r.committed_at
        FROM runs r
        WHERE i.collector = r.collector AND i.log_id = r.log_id AND i.lane = r.lane AND i.first_seq = r.first_seq
    )
    SELECT count(*) INTO gone FROM deleted;
    RETURN gone;
END
$$;

-- What is missing, and why. A gap that the router's session knows of is a record (seq, idx); a gap in the log itself
-- names the range of sequence numbers that could not be read.
CREATE TABLE collector_gaps (
    collector  text NOT NULL,
    log_id     uuid NOT NULL,
    seq        bigint,
    idx        integer,
    first_seq  bigint,
    last_seq   bigint,
    router     text,
    reason     text NOT NULL,
    from_time  timestamptz,
    until_time timestamptz,
    records    bigint,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((seq IS NULL) = (first_seq IS NOT NULL))
);
CREATE INDEX collector_gaps_log ON collector_gaps (collector, log_id, first_seq);

-- Notes a range of the log that a lane could not read. Each lane says so, because each may be the only one: what rots after
-- one lane has passed it is missing in the others. What another lane has noted already is not noted again.
CREATE FUNCTION holdfast_log_gap(g_collector text, g_log_id uuid, g_first bigint, g_last bigint, g_reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- Until the transaction ends: two lanes come to the same range at about the same time.
    PERFORM pg_advisory_xact_lock(hashtextextended(g_collector || g_log_id, 0));
    INSERT INTO collector_gaps (collector, log_id, first_seq, last_seq, reason)
    SELECT g_collector, g_log_id, lower(part), upper(part) - 1, g_reason
    FROM unnest(int8multirange(int8range(g_first, g_last, '[]')) - coalesce((
        SELECT range_agg(int8range(first_seq, last_seq, '[]')) FROM collector_gaps
        WHERE collector = g_collector AND log_id = g_log_id AND first_seq <= g_last AND last_seq >= g_first), '{}')) AS part;
END
$$;

-- Records that the database refused: readable in `record` (JSON, the names of the columns it was meant for), and whole in
-- `payload` (a batch of the log with this record alone), so that they can be stored once the cause is gone.
CREATE TABLE rejected_routes (
    collector   text NOT NULL,
    log_id      uuid NOT NULL,
    seq         bigint NOT NULL,
    idx         integer NOT NULL,
    lane        integer NOT NULL,
    sqlstate    text NOT NULL,
    error       text NOT NULL,
    record      text NOT NULL,
    payload     bytea NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retried_at  timestamptz,
    PRIMARY KEY (collector, log_id, seq, idx)
);

-- Takes the lane, or finds it again. A process that starts takes over (`a_epoch` null; the older holder is fenced out); a
-- mere reconnect says which epoch it held, and succeeds only if nobody has taken over since, so that two collectors do not
-- win it back from each other. A row that is missing or of an earlier epoch is not another holder's: the database came back
-- older than it was, and is given what it has lost.
CREATE FUNCTION holdfast_attach(
    a_collector text, a_log_id uuid, a_lane integer, a_lanes integer, a_owner uuid, a_epoch bigint
) RETURNS TABLE (epoch bigint, last_seq bigint, digest bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    held ingest_checkpoint%ROWTYPE;
    next_epoch bigint := coalesce(a_epoch, 0) + 1;
    started timestamptz := (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid());
BEGIN
    SELECT * INTO held FROM ingest_checkpoint
        WHERE collector = a_collector AND log_id = a_log_id AND lane = a_lane FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, epoch, owner, backend_pid, backend_start, last_seq,
                digest, updated_at)
            VALUES (a_collector, a_log_id, a_lane, a_lanes, next_epoch, a_owner, pg_backend_pid(), started, 0, 0, now());
        RETURN QUERY SELECT next_epoch, 0::bigint, 0::bigint;
        RETURN;
    END IF;
    IF held.lanes <> a_lanes THEN
        RAISE EXCEPTION 'log % has % lanes, not %', a_log_id, held.lanes, a_lanes USING ERRCODE = 'BM002';
    END IF;
    IF held.owner <> a_owner THEN
        IF held.epoch >= a_epoch THEN
            RAISE EXCEPTION 'lane % of log % was taken over (epoch %)', a_lane, a_log_id, held.epoch
                USING ERRCODE = 'BM001', HINT = 'Another collector runs with the same COLLECTOR_ID and log.';
        END IF;
        held.epoch := greatest(held.epoch + 1, next_epoch);
    END IF;
    UPDATE ingest_checkpoint AS c
        SET epoch = held.epoch, owner = a_owner, backend_pid = pg_backend_pid(), backend_start = started, updated_at = now()
        WHERE collector = a_collector AND log_id = a_log_id AND lane = a_lane;
    RETURN QUERY SELECT held.epoch, held.last_seq, held.digest;
END
$$;

-- Begins the delivery of a forked log under an id of its own: each lane behind the last batch that it has in common with the
-- log that it was copied from. Nothing happens when another start has begun it already.
CREATE FUNCTION holdfast_fork(
    f_collector text, f_old uuid, f_new uuid, f_lanes integer, f_lane integer, f_at bigint, f_digest bigint
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, epoch, owner, backend_pid, backend_start, last_seq,
        digest, forked_from, forked_at, updated_at)
    VALUES (f_collector, f_new, f_lane, f_lanes, 0, '00000000-0000-0000-0000-000000000000', 0, NULL, f_at, f_digest, f_old,
        f_at, now())
    ON CONFLICT DO NOTHING
$$;

-- Ends the connection that still holds the lane's row: a half-open TCP connection keeps its locks for hours.
CREATE FUNCTION holdfast_evict(a_collector text, a_log_id uuid, a_lane integer) RETURNS boolean
LANGUAGE sql AS $$
    SELECT coalesce(bool_or(pg_terminate_backend(a.pid)), false)
    FROM ingest_checkpoint c
    JOIN pg_stat_activity a ON a.pid = c.backend_pid AND a.backend_start = c.backend_start
    WHERE c.collector = a_collector AND c.log_id = a_log_id AND c.lane = a_lane AND a.pid <> pg_backend_pid()
$$;

-- First in every transaction. Raises on the server, so that even a zombie that has pipelined its whole transaction
-- stores nothing.
CREATE FUNCTION holdfast_fence(
    f_collector text, f_log_id uuid, f_lane integer, f_epoch bigint, f_owner uuid, f_first_seq bigint
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    held ingest_checkpoint%ROWTYPE;
BEGIN
    SELECT * INTO held FROM ingest_checkpoint
        WHERE collector = f_collector AND log_id = f_log_id AND lane = f_lane FOR UPDATE;
    IF NOT FOUND OR held.epoch <> f_epoch OR held.owner <> f_owner THEN
        RAISE EXCEPTION 'lane % of log % was taken over: epoch % holds it, not %', f_lane, f_log_id, held.epoch, f_epoch
            USING ERRCODE = 'BM001', HINT = 'Another collector runs with the same COLLECTOR_ID and log.';
    END IF;
    IF held.last_seq <> f_first_seq - 1 THEN
        RAISE EXCEPTION 'lane % of log % stands at %, so % cannot follow', f_lane, f_log_id, held.last_seq, f_first_seq
            USING ERRCODE = 'BM003';
    END IF;
END
$$;
