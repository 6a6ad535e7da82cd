INSERT INTO rejected_routes (collector, log_id, seq, idx, lane, sqlstate, error, record, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
