-- Delivery: which process may store a lane's batches, how far each lane is, and what each transaction stored.

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
    forked_from   uuid,
    forked_at     bigint NOT NULL DEFAULT 0,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (collector, log_id, lane)
) WITH (fillfactor = 50);
COMMENT ON TABLE ingest_checkpoint IS
    'Delivery position of each lane of each log. Rows are never deleted. Only the process that is recorded
in owner and epoch may store the batches that follow last_seq.';
COMMENT ON COLUMN ingest_checkpoint.log_id IS 'Identifier of the write-ahead log.';
COMMENT ON COLUMN ingest_checkpoint.lane IS
    'Number of the lane, from 0. A lane is a connection that stores part of the peers.';
COMMENT ON COLUMN ingest_checkpoint.lanes IS
    'Number of lanes of the log. It never changes, because it decides which lane stores which peer.';
COMMENT ON COLUMN ingest_checkpoint.epoch IS
    'Fencing epoch; incremented by each process that takes the lane over.';
COMMENT ON COLUMN ingest_checkpoint.owner IS 'Random identifier of the process that holds the lane.';
COMMENT ON COLUMN ingest_checkpoint.backend_pid IS
    'Process id of the server backend that holds the lane, for holdfast_evict.';
COMMENT ON COLUMN ingest_checkpoint.backend_start IS
    'Start time of that backend, which distinguishes it from a later backend with the same process id.';
COMMENT ON COLUMN ingest_checkpoint.last_seq IS
    'Sequence number of the last stored batch; 0 before the first one.';
COMMENT ON COLUMN ingest_checkpoint.digest IS
    'Digest of the batch at last_seq, by which a copied or replaced log is recognised; 0 if unknown.';
COMMENT ON COLUMN ingest_checkpoint.forked_from IS
    'Log of which this log was a copy up to forked_at; null if it is no fork.';
COMMENT ON COLUMN ingest_checkpoint.forked_at IS
    'Last sequence number that the fork has in common with forked_from; 0 if it is no fork.';
COMMENT ON COLUMN ingest_checkpoint.updated_at IS 'Time of the last commit or attach of the lane.';

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
COMMENT ON TABLE ingest_ledger IS
    'One row per transaction of a lane; rows older than a day are folded into one row per hour and lane.
Invariants: routes = stored + unchanged + rejected, records = routes + events.';
COMMENT ON COLUMN ingest_ledger.first_seq IS 'First sequence number of the transaction.';
COMMENT ON COLUMN ingest_ledger.last_seq IS 'Last sequence number of the transaction.';
COMMENT ON COLUMN ingest_ledger.records IS 'Routes and events.';
COMMENT ON COLUMN ingest_ledger.routes IS 'Announcements and withdrawals.';
COMMENT ON COLUMN ingest_ledger.stored IS 'Routes stored in route_updates.';
COMMENT ON COLUMN ingest_ledger.unchanged IS
    'Announcements of a re-dump that repeat the current route. They have no row in route_updates
(HISTORY_DEDUP).';
COMMENT ON COLUMN ingest_ledger.rejected IS 'Routes stored in rejected_routes.';
COMMENT ON COLUMN ingest_ledger.gaps IS 'Gap records among the events.';
COMMENT ON COLUMN ingest_ledger.digest IS 'Digest of the batch at last_seq; 0 if unknown.';

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
COMMENT ON TABLE collector_gaps IS
    'Missing data. A gap that a session recorded is a record of the log and has seq and idx; a range of
the log that could not be read has first_seq and last_seq.';
COMMENT ON COLUMN collector_gaps.first_seq IS
    'First sequence number that could not be read; null for a recorded gap.';
COMMENT ON COLUMN collector_gaps.last_seq IS
    'Last sequence number that could not be read; null for a recorded gap.';
COMMENT ON COLUMN collector_gaps.router IS 'Router whose data are missing; null for a range of the log.';
COMMENT ON COLUMN collector_gaps.from_time IS 'Start of the period without data; null if unknown.';
COMMENT ON COLUMN collector_gaps.until_time IS 'End of the period without data; null if unknown.';
COMMENT ON COLUMN collector_gaps.records IS 'Number of missing records; null if unknown.';
COMMENT ON COLUMN collector_gaps.noticed_at IS 'Time at which the gap was stored.';

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
COMMENT ON TABLE rejected_routes IS
    'Records that the server rejected. `holdfast rejected retry` stores them once the cause is removed.';
COMMENT ON COLUMN rejected_routes.sqlstate IS 'SQLSTATE with which the server rejected the record.';
COMMENT ON COLUMN rejected_routes.error IS 'Error message of the server.';
COMMENT ON COLUMN rejected_routes.record IS
    'The record as JSON, by the column names of the table it was meant for.';
COMMENT ON COLUMN rejected_routes.payload IS
    'The record in the format of the log: a batch that holds this record only.';
COMMENT ON COLUMN rejected_routes.retried_at IS
    'Time of the last retry that was rejected; null before the first retry.';
