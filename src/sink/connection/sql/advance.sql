-- Moves the checkpoint and writes the ledger, both or neither.
WITH advanced AS (
    UPDATE ingest_checkpoint SET last_seq = $7::bigint, digest = $8::bigint, updated_at = now()
    WHERE collector = $1 AND log_id = $2 AND lane = $3 AND epoch = $4 AND owner = $5
        AND last_seq = $6::bigint - 1
    RETURNING collector, log_id, lane
)
INSERT INTO ingest_ledger (collector, log_id, lane, first_seq, last_seq, records, routes, stored, unchanged,
    rejected, events, gaps, digest)
SELECT collector, log_id, lane, $6::bigint, $7::bigint, $9::bigint + $10::bigint, $9::bigint,
    $9::bigint - $12::bigint - $13::bigint, $12::bigint, $13::bigint, $10::bigint, $11::bigint, $8::bigint
FROM advanced
