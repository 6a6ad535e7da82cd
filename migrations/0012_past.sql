-- The past does not change: what a sweep ended is recorded once the route has another record.

CREATE TABLE swept_routes (
    peer_id    bigint NOT NULL,
    session    timestamptz NOT NULL,
    generation bigint NOT NULL,
    until      timestamptz NOT NULL,
    afi        integer NOT NULL,
    safi       smallint NOT NULL,
    route_key  bytea NOT NULL
);
CREATE INDEX swept_routes_route ON swept_routes (peer_id, route_key);
COMMENT ON TABLE swept_routes IS
    'States of routes that a sweep ended before a later record of the route. History does not show them,
because a route that is announced again unchanged before the sweep has no row there (HISTORY_DEDUP).';
COMMENT ON COLUMN swept_routes.peer_id IS 'bgp_peers.id.';
COMMENT ON COLUMN swept_routes.session IS
    'Session in which the route was last announced before the sweep. The first sweep of a later incarnation
ended it.';
COMMENT ON COLUMN swept_routes.generation IS 'Generation in which it was.';
COMMENT ON COLUMN swept_routes.until IS 'Time of the next record of the route.';

-- Nullable and without default, so that the table is not rewritten.
ALTER TABLE rib_entries ADD COLUMN ended_session timestamptz, ADD COLUMN ended_generation bigint;
COMMENT ON COLUMN rib_entries.ended_session IS
    'Session of the state that the last transaction of the route replaced, if a Peer Down or a sweep had ended
it before; else null.';
COMMENT ON COLUMN rib_entries.ended_generation IS 'Generation of that state.';

-- Their parameters or columns change; migrations/functions creates them anew.
DROP FUNCTION IF EXISTS rib_at(text, timestamptz, text);
DROP FUNCTION IF EXISTS prefix_timeline(cidr, interval, timestamptz, text);
DROP FUNCTION IF EXISTS peer_differences(text, text, timestamptz, timestamptz, text);
DROP FUNCTION IF EXISTS churn(text, interval, timestamptz);
DROP FUNCTION IF EXISTS churn_causes(text, interval, timestamptz);
DROP FUNCTION IF EXISTS origin_changes(interval, timestamptz);
DROP FUNCTION IF EXISTS moas();
DROP FUNCTION IF EXISTS withdraw_storms(interval, interval, bigint);
DROP FUNCTION IF EXISTS hijacks(interval);
DROP FUNCTION IF EXISTS peer_flaps(interval, text);
DROP FUNCTION IF EXISTS table_growth(interval, interval, text);
DROP FUNCTION IF EXISTS evpn_moves(interval);
