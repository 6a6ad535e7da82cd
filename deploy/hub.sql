-- One database that answers over several regional ones: every query of the catalogue (docs/QUERIES.md), over
-- the tables of all regions, through postgres_fdw. docs/SCALING.md has its limits.
--
-- The hub is a database without a collector, of the same release as the regions. As a superuser:
--   createdb hub
--   DATABASE_URL=postgres://…/hub holdfast migrate
--   psql -d hub -f hub.sql
--   psql -d hub -c "SELECT hub.add_region('europe', 'db.eu.example.net', 5432, 'holdfast',
--                       'holdfast_reader', 'password')"                (once for each region)
--   psql -d hub -c 'SELECT hub.build()'                                (replaces the empty tables by views)
--   DATABASE_URL=postgres://…/hub holdfast migrate                     (functions and views over these)
--   psql -d hub -c 'SELECT hub.join_regions()'                         (history as the regions join it)
--   psql -d hub -c 'SELECT * FROM hub.state()'
-- For a new release, or a table that a release has changed: drop the hub, and make it anew. It has no data of
-- its own but own_prefixes, peer_roles and the VRPs, which are the hub's and not those of the regions.
--
-- A region that does not answer is an error of every query that needs it, which names the region. Until it is
-- back, hub.leave_out('europe', 'why') answers without it: each answer then has a warning and, in
-- `holdfast query`, a note. hub.take_in('europe') ends that.
--
-- With another DB_SCHEMA than holdfast: psql -d hub -v schema=NAME -f hub.sql. That of a region is the last
-- parameter of hub.add_region.
\set ON_ERROR_STOP on
\if :{?schema}
\else
    \set schema holdfast
\endif

CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SCHEMA IF NOT EXISTS hub;
COMMENT ON SCHEMA hub IS 'The regions whose tables the views of this database join.';

SELECT format('CREATE OR REPLACE FUNCTION hub.own_schema() RETURNS text LANGUAGE sql IMMUTABLE
    AS $f$SELECT %L::text$f$', :'schema') \gexec
COMMENT ON FUNCTION hub.own_schema IS 'The schema of the hub''s tables, views and functions (DB_SCHEMA).';

CREATE TABLE IF NOT EXISTS hub.regions (
    name     text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$' AND name NOT IN ('hub', 'public')),
    number   integer NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 99),
    tables   text NOT NULL,
    left_out timestamptz,
    reason   text
);
COMMENT ON TABLE hub.regions IS 'The regional databases of this hub.';
COMMENT ON COLUMN hub.regions.name IS
    'Name of the foreign server, and of the schema with its foreign tables.';
COMMENT ON COLUMN hub.regions.number IS
    'Last two digits of the ids of its peers in the hub: the id in the region is the rest.';
COMMENT ON COLUMN hub.regions.tables IS 'Schema of the tables in the region (DB_SCHEMA of its collectors).';
COMMENT ON COLUMN hub.regions.left_out IS 'Since when answers lack the region; null if they have it.';

-- The tables of the regions. Others belong to the hub: what the operator fills in, and the migrations.
CREATE OR REPLACE FUNCTION hub.tables() RETURNS SETOF text
LANGUAGE sql IMMUTABLE AS $$
    VALUES ('attribute_sets'), ('bgp_peers'), ('bmp_peers'), ('collector_gaps'), ('collector_reports'),
        ('dropped_records'), ('forgotten_peers'), ('incarnations'), ('ingest_checkpoint'), ('ingest_ledger'),
        ('kept_route_ends'), ('kept_routes'), ('partitioned_tables'), ('path_attributes'), ('peer_events'),
        ('peer_families'), ('peer_identities'), ('peer_stats'), ('rejected_routes'), ('rib_entries'),
        ('rib_sizes'), ('route_records'), ('swept_routes')
$$;
COMMENT ON FUNCTION hub.tables IS 'The tables of the regions that the hub joins.';

CREATE OR REPLACE FUNCTION hub.add_region(region text, host text, port integer, dbname text, username text,
    password text DEFAULT NULL, schema text DEFAULT 'holdfast') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    next_number integer;
BEGIN
    SELECT coalesce(max(number), 0) + 1 INTO next_number FROM hub.regions;
    INSERT INTO hub.regions (name, number, tables) VALUES (region, next_number, schema);
    -- Estimates of the region, without which the hub would fetch whole tables instead of looking up rows. The
    -- limits turn a region that has vanished into an error within half a minute.
    EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L,
        async_capable ''true'', use_remote_estimate ''true'', fetch_size ''10000'', connect_timeout ''5'',
        keepalives_idle ''10'', keepalives_interval ''5'', keepalives_count ''3'',
        tcp_user_timeout ''20000'')',
        region, host, port, dbname);
    EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (user %L%s)', region, username,
        CASE WHEN password IS NOT NULL THEN format(', password %L', password) ELSE '' END);
    EXECUTE format('CREATE SCHEMA %I', region);
END
$$;
COMMENT ON FUNCTION hub.add_region IS
    'Adds a regional database, which hub.build() then joins. username: a role that can read its tables, as
holdfast_reader. Queries of all users of the hub use it. schema: DB_SCHEMA of its collectors.';

CREATE OR REPLACE FUNCTION hub.remove_region(region text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hub.regions WHERE name = region;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown region "%"', region USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM hub.join_regions();
    EXECUTE format('DROP SERVER %I CASCADE', region);
    EXECUTE format('DROP SCHEMA %I CASCADE', region);
END
$$;
COMMENT ON FUNCTION hub.remove_region IS 'Removes a region for good; answers say nothing of it afterwards.';

-- Columns of a relation as SQL. Ids are unique in a region only: %s stands for the number of the region.
CREATE OR REPLACE FUNCTION hub.columns(relation regclass,
    OUT definitions text, OUT names text, OUT of_region text) RETURNS record
LANGUAGE sql STABLE AS $$
    SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum),
        string_agg(format('%I', attname), ', ' ORDER BY attnum),
        string_agg(CASE WHEN attname IN ('peer_id', 'peer_number')
                OR (relname = 'bgp_peers' AND attname = 'id')
            THEN format('%1$I * 100 + %%s AS %1$I', attname) ELSE format('%I', attname) END, ', '
            ORDER BY attnum)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
$$;
COMMENT ON FUNCTION hub.columns IS 'Columns of a relation: their definitions, names, and values in the hub.';

CREATE OR REPLACE FUNCTION hub.missing(region text) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    statement text := statement_timestamp()::text;
    r hub.regions;
BEGIN
    -- Once for each statement, however many tables it reads.
    IF current_setting('hub.warned_' || region, true) IS DISTINCT FROM statement THEN
        PERFORM set_config('hub.warned_' || region, statement, false);
        SELECT * INTO r FROM hub.regions WHERE name = region;
        RAISE WARNING 'the region "%" is left out of this result since % (%)', region,
            to_char(r.left_out AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'), r.reason;
    END IF;
END
$$;
COMMENT ON FUNCTION hub.missing IS 'Stands for the rows of a region that is left out: none, and a warning.';

CREATE OR REPLACE FUNCTION hub.join_regions() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    t text;
    c record;
    query text;
    reader text;
BEGIN
    -- Each region joins its own history: the view of the catalogue would fetch one attribute set after
    -- another.
    FOR t IN SELECT hub.tables() UNION ALL SELECT 'route_updates'
        WHERE to_regclass(format('%I.route_updates', hub.own_schema())) IS NOT NULL LOOP
        SELECT columns.* INTO c FROM (SELECT name FROM hub.regions ORDER BY number LIMIT 1) r,
            hub.columns(format('%I.%I', r.name, t)::regclass) AS columns;
        SELECT string_agg(CASE WHEN left_out IS NULL
            THEN format('SELECT %s FROM %I.%I', replace(c.of_region, '%s', number::text), name, t)
            ELSE format('SELECT %s FROM hub.missing(%L) AS m (%s)', c.names, name, c.definitions) END,
            ' UNION ALL ' ORDER BY number) INTO query FROM hub.regions;
        -- History is complete from the latest of the times before which a region has dropped it. The hub has
        -- no partitions of its own, as if the tables were hypertables.
        IF t = 'partitioned_tables' THEN
            query := format('SELECT n.name, true AS is_hypertable, interval ''7 days'' AS chunk_interval,
                (SELECT max(r.dropped_before) FROM (%s) r WHERE r.name = n.name) AS dropped_before
                FROM unnest(ARRAY[''route_records'', ''peer_events'', ''peer_stats'']) AS n (name)', query);
        END IF;
        EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS %s', hub.own_schema(), t, query);
        EXECUTE format('COMMENT ON VIEW %I.%I IS %L', hub.own_schema(), t,
            'The rows of all regions (hub.sql).');
        FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('holdfast_owner', 'holdfast_reader') LOOP
            EXECUTE format('GRANT SELECT ON %I.%I TO %I', hub.own_schema(), t, reader);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hub.join_regions IS 'Creates or replaces the views over the foreign tables.';

CREATE OR REPLACE FUNCTION hub.build() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    t text;
    r hub.regions;
    c record;
    kind "char";
    is_used boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM hub.regions) THEN
        RAISE EXCEPTION 'the hub has no regions' USING HINT = 'Add them with hub.add_region.';
    END IF;
    SELECT relkind INTO kind FROM pg_class
        WHERE oid = format('%I.ingest_checkpoint', hub.own_schema())::regclass;
    IF kind <> 'v' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.ingest_checkpoint)', hub.own_schema()) INTO is_used;
        IF is_used THEN
            RAISE EXCEPTION 'a collector has delivered to this database; a hub needs one of its own';
        END IF;
    END IF;
    -- The view first: it is dropped with the tables.
    FOR t IN VALUES ('route_updates') UNION ALL SELECT hub.tables()
        UNION ALL VALUES ('schema_migrations') LOOP
        SELECT columns.* INTO c FROM hub.columns(coalesce(
            to_regclass(format('%I.%I', hub.own_schema(), t)),
            (SELECT to_regclass(format('%I.%I', name, t)) FROM hub.regions ORDER BY number LIMIT 1)))
            AS columns;
        FOR r IN SELECT * FROM hub.regions LOOP
            EXECUTE format('CREATE FOREIGN TABLE IF NOT EXISTS %I.%I (%s) SERVER %I
                OPTIONS (schema_name %L)', r.name, t, c.definitions, r.name, r.tables);
        END LOOP;
        SELECT relkind INTO kind FROM pg_class WHERE oid = format('%I.%I', hub.own_schema(), t)::regclass;
        IF t <> 'schema_migrations' AND kind <> 'v' THEN
            EXECUTE format('DROP TABLE %I.%I CASCADE', hub.own_schema(), t);
        END IF;
    END LOOP;
    PERFORM hub.join_regions();
    -- The functions of the catalogue that write are created over views, and never called.
    EXECUTE format('ALTER DATABASE %I SET check_function_bodies = off', current_database());
END
$$;
COMMENT ON FUNCTION hub.build IS
    'Replaces the tables of this database, which are empty, by views over those of the regions. To be called
again when a region was added. `holdfast migrate` then creates the functions and views of the catalogue, and
hub.join_regions replaces the view of the history.';

CREATE OR REPLACE FUNCTION hub.leave_out(region text, reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hub.regions r SET left_out = coalesce(r.left_out, now()), reason = leave_out.reason
        WHERE r.name = region;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown region "%"', region USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM hub.join_regions();
END
$$;
COMMENT ON FUNCTION hub.leave_out IS
    'Answers without a region that is down, each with a warning and, in `holdfast query`, a note.';

CREATE OR REPLACE FUNCTION hub.take_in(region text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hub.regions r SET left_out = NULL, reason = NULL WHERE r.name = region;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown region "%"', region USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM hub.join_regions();
END
$$;
COMMENT ON FUNCTION hub.take_in IS 'Ends hub.leave_out.';

CREATE OR REPLACE FUNCTION hub.state()
RETURNS TABLE (region text, number integer, state text, detail text, collectors text, as_of timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r hub.regions;
    release text;
    of_region text;
BEGIN
    EXECUTE format('SELECT string_agg(checksum, '' '' ORDER BY version) FROM %I.schema_migrations',
        hub.own_schema()) INTO release;
    FOR r IN SELECT * FROM hub.regions ORDER BY regions.number LOOP
        region := r.name;
        number := r.number;
        state := CASE WHEN r.left_out IS NULL THEN 'joined' ELSE 'left out' END;
        detail := r.reason;
        collectors := NULL;
        as_of := NULL;
        BEGIN
            EXECUTE format('SELECT string_agg(checksum, '' '' ORDER BY version) FROM %I.schema_migrations',
                r.name) INTO of_region;
            EXECUTE format('SELECT string_agg(collector, '' '' ORDER BY collector), min(as_of)
                FROM (SELECT DISTINCT collector FROM %1$I.ingest_checkpoint) c
                LEFT JOIN %1$I.collector_reports o USING (collector)', r.name) INTO collectors, as_of;
            IF of_region IS DISTINCT FROM release THEN
                state := 'other release';
                detail := 'its schema is not that of the hub: migrate the region, or make the hub anew';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            state := CASE WHEN SQLSTATE LIKE '08%' THEN 'unreachable' ELSE 'failed' END
                || CASE WHEN r.left_out IS NULL THEN '' ELSE ', left out' END;
            detail := concat_ws('; ', r.reason, SQLERRM);
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hub.state IS
    'Each region: joined, left out, unreachable or failed (then queries that need it fail), or of another
release; its collectors, and the oldest time up to which their tables are current.';

GRANT USAGE ON SCHEMA hub TO PUBLIC;
GRANT SELECT ON hub.regions TO PUBLIC;
REVOKE EXECUTE ON FUNCTION hub.add_region, hub.remove_region, hub.build, hub.join_regions, hub.leave_out,
    hub.take_in FROM PUBLIC;
