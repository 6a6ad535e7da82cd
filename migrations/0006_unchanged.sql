-- Repeated announcements of all causes are deduplicated (HISTORY_DEDUP=always).

COMMENT ON COLUMN ingest_ledger.unchanged IS
    'Announcements that repeat the current route, of a re-dump or of all causes. They have no row in
route_updates (HISTORY_DEDUP).';
