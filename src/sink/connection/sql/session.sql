-- A connection that has lost its client must not hold the lane's row for long.
SET idle_in_transaction_session_timeout = '30s';
SET lock_timeout = '10s';
SET client_min_messages = warning;
-- The merge must always be a nested loop over the staged rows, whatever the statistics say of tables that
-- were empty a second ago.
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
-- lz4 compresses a giant attribute set five times as fast as pglz, to about the same size. A server may have
-- been built without it.
SELECT set_config(name, 'lz4', false) FROM pg_settings
WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals);
-- With the columns of the tables in their order, which INSERT … SELECT * relies on. A set without a week is
-- one that only the current table refers to.
CREATE TEMP TABLE staged_attributes ON COMMIT DELETE ROWS AS SELECT * FROM attribute_sets WITH NO DATA;
CREATE TEMP TABLE staged_incarnations ON COMMIT DELETE ROWS AS SELECT * FROM incarnations WITH NO DATA;
