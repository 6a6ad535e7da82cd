-- The number of lanes of a log can change.
COMMENT ON COLUMN ingest_checkpoint.lanes IS
    'Number of lanes of each class. It decides which lane stores which peer, and changes only where all lanes
have delivered the same batches (holdfast_change_lanes).';
COMMENT ON TABLE ingest_checkpoint IS
    'Delivery position of each lane of each log. Only the process that is recorded in owner and epoch may
store the batches that follow last_seq.';
