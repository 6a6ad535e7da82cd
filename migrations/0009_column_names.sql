-- The queries name the same thing alike: a column `peer` is a peer's address, `rib` a RIB view, and a
-- parameter that would have the name of a column is called of_…. migrations/functions creates them anew.
DROP FUNCTION IF EXISTS rib_at(text, timestamptz, text);
DROP FUNCTION IF EXISTS peer_differences(text, text, timestamptz, timestamptz, text);
DROP FUNCTION IF EXISTS policy_effect(text);
DROP FUNCTION IF EXISTS rpki(text, text);
DROP FUNCTION IF EXISTS peers(text);
DROP FUNCTION IF EXISTS peer_flaps(interval, text);
DROP FUNCTION IF EXISTS peer_capabilities(text);
DROP FUNCTION IF EXISTS peer_counters(text, interval);
DROP FUNCTION IF EXISTS completeness(text, interval, numeric);
DROP FUNCTION IF EXISTS table_growth(interval, interval, text);
