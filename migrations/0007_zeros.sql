-- The peer of an AS number or BGP identifier of zero is decided once per session, at its first record, so
-- that the result does not depend on how the log is cut into transactions.

ALTER TABLE peer_identities ADD COLUMN decided_in timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN peer_identities.decided_in IS
    'Newest session in which the peer of these zeros was decided; -infinity without zeros.';
-- Decisions in sessions that may continue remain.
UPDATE peer_identities i SET decided_in = greatest(i.since, b.session) FROM bmp_peers b
    WHERE b.collector = i.collector AND b.router = i.router
        AND (i.bgp_id = '0.0.0.0' OR (i.asn = 0 AND i.peer_type <> 3));

-- Its columns change; migrations/functions creates it anew.
DROP FUNCTION IF EXISTS holdfast_merge_peers(text, jsonb, jsonb, jsonb);
