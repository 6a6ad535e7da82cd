-- Inserts the routes that the current table does not have. A route whose only events are withdrawals is
-- inserted too: a later announcement from an older session must not make it valid.
INSERT INTO rib_entries ({columns})
SELECT {values}
FROM staged s
WHERE NOT EXISTS (SELECT FROM rib_entries e WHERE e.peer_id = s.peer_id AND e.route_key = s.route_key)
