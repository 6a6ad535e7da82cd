-- Each shard of the peers has two lanes: one of class dump, and one of class live. The lanes of existing logs
-- are those of class dump; those of class live are added when they are attached.
ALTER TABLE ingest_checkpoint DROP CONSTRAINT ingest_checkpoint_check;
ALTER TABLE ingest_checkpoint ADD CONSTRAINT ingest_checkpoint_check CHECK (lane >= 0 AND lane < 2 * lanes),
    ADD COLUMN begins_after bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ingest_checkpoint.lane IS
    'Number of the lane, from 0: those below `lanes` are of class dump, the others of class live. A lane is a
connection that stores part of the peers.';
COMMENT ON COLUMN ingest_checkpoint.lanes IS
    'Number of lanes of each class. It never changes, because it decides which lane stores which peer.';
COMMENT ON COLUMN ingest_checkpoint.begins_after IS
    'Sequence number after which the lane began; 0 for the lanes with which a log began.';
