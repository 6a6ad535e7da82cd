-- Records of a quarantined source that rejected_routes has no room for: a gap of at most an hour, which is
-- the first of them, and the number of the others.
WITH extended AS (
    UPDATE collector_gaps SET until_time = $9::timestamptz, records = records + $10::bigint
    WHERE collector = $1 AND log_id = $2 AND router = $3 AND reason = $4
        AND noticed_at > now() - interval '1 hour'
    RETURNING 1
), added AS (
    INSERT INTO collector_gaps (collector, log_id, router, reason, seq, idx, from_time, until_time, records)
    SELECT $1, $2, $3, $4, $5::bigint, $6::integer, $8::timestamptz, $9::timestamptz, $10::bigint
    WHERE NOT EXISTS (SELECT FROM extended)
    RETURNING 1
)
INSERT INTO dropped_records AS d (table_name, collector, log_id, last_seq, records)
SELECT 'rejected_routes', $1, $2, $7::bigint, $10::bigint - (SELECT count(*) FROM added)
ON CONFLICT (table_name, collector, log_id) DO UPDATE SET
    last_seq = greatest(d.last_seq, excluded.last_seq), records = d.records + excluded.records
