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
    digest        bigint NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (collector, log_id, lane)
) WITH (fillfactor = 50);

-- One row per transaction: routes = stored + unchanged + rejected, records = routes + events.
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
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (collector, log_id, lane, first_seq),
    CHECK (routes = stored + unchanged + rejected AND records = routes + events AND last_seq >= first_seq)
);

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

-- Rows that the database refused, with all that is needed to store them once the cause is gone.
CREATE TABLE rejected_routes (
    collector   text NOT NULL,
    log_id      uuid NOT NULL,
    seq         bigint NOT NULL,
    idx         integer NOT NULL,
    sqlstate    text NOT NULL,
    error       text NOT NULL,
    copy_row    bytea NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (collector, log_id, seq, idx)
);

-- Takes the lane, or finds it again. A process that starts takes over (the older holder is fenced out by the epoch); a
-- mere reconnect succeeds only if nobody took over meanwhile, so that two collectors do not win it back from each other.
CREATE FUNCTION holdfast_attach(
    a_collector text, a_log_id uuid, a_lane integer, a_lanes integer, a_owner uuid, a_takeover boolean
) RETURNS TABLE (epoch bigint, last_seq bigint, digest bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    held ingest_checkpoint%ROWTYPE;
    started timestamptz := (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid());
BEGIN
    SELECT * INTO held FROM ingest_checkpoint
        WHERE collector = a_collector AND log_id = a_log_id AND lane = a_lane FOR UPDATE;
    IF NOT FOUND THEN
        IF NOT a_takeover THEN
            RAISE EXCEPTION 'lane % of log % has no checkpoint any more', a_lane, a_log_id USING ERRCODE = 'BM002';
        END IF;
        INSERT INTO ingest_checkpoint
            VALUES (a_collector, a_log_id, a_lane, a_lanes, 1, a_owner, pg_backend_pid(), started, 0, 0, now());
        RETURN QUERY SELECT 1::bigint, 0::bigint, 0::bigint;
        RETURN;
    END IF;
    IF held.lanes <> a_lanes THEN
        RAISE EXCEPTION 'log % has % lanes, not %', a_log_id, held.lanes, a_lanes USING ERRCODE = 'BM002';
    END IF;
    IF NOT a_takeover AND held.owner <> a_owner THEN
        RAISE EXCEPTION 'lane % of log % was taken over (epoch %)', a_lane, a_log_id, held.epoch
            USING ERRCODE = 'BM001', HINT = 'Another collector runs with the same COLLECTOR_ID and log.';
    END IF;
    UPDATE ingest_checkpoint AS c
        SET epoch = held.epoch + CASE WHEN held.owner = a_owner THEN 0 ELSE 1 END,
            owner = a_owner, backend_pid = pg_backend_pid(), backend_start = started, updated_at = now()
        WHERE collector = a_collector AND log_id = a_log_id AND lane = a_lane
        RETURNING c.epoch INTO held.epoch;
    RETURN QUERY SELECT held.epoch, held.last_seq, held.digest;
END
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
        RAISE EXCEPTION 'lane % of log % is held by epoch %, not by %', f_lane, f_log_id, held.epoch, f_epoch
            USING ERRCODE = 'BM001';
    END IF;
    IF held.last_seq <> f_first_seq - 1 THEN
        RAISE EXCEPTION 'lane % of log % stands at %, so % cannot follow', f_lane, f_log_id, held.last_seq, f_first_seq
            USING ERRCODE = 'BM003';
    END IF;
END
$$;
