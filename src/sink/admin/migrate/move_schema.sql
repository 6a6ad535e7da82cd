-- Moves the objects of Holdfast from the schema public to @schema@, and what was granted on them. The arrays
-- are the names of the objects of this release, which are the ones that are there.
DO $move$
DECLARE
    owner_id CONSTANT oid := (SELECT relowner FROM pg_class WHERE oid = 'public.schema_migrations'::regclass);
    statements text[];
    statement text;
BEGIN
    -- Every transaction of a lane begins with a lock of a row of this table, so that none is in the middle.
    LOCK TABLE public.ingest_checkpoint IN ACCESS EXCLUSIVE MODE;
    WITH relations AS (
        SELECT c.oid, c.relname, c.relkind, c.relacl FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND (
            (c.relkind IN ('r', 'p') AND (c.relname = ANY (@tables@) OR EXISTS (
                SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
                WHERE i.inhrelid = c.oid AND p.relnamespace = 'public'::regnamespace
                    AND p.relname = ANY (@tables@))))
            OR (c.relkind = 'v' AND c.relname = ANY (@views@))
            -- A sequence of a column moves with its table.
            OR (c.relkind = 'S' AND c.relname = ANY (@sequences@) AND NOT EXISTS (SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
        )
    ), grants AS (
        SELECT DISTINCT a.grantee FROM relations r CROSS JOIN aclexplode(r.relacl) a
        WHERE a.grantee <> owner_id
    ), moves AS (
        SELECT 1 AS step, format('ALTER %s public.%I SET SCHEMA @schema@', CASE relkind
            WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname) AS statement
        FROM relations
        UNION ALL
        SELECT 2, format('ALTER FUNCTION public.%I(%s) SET SCHEMA @schema@', proname,
            pg_get_function_identity_arguments(oid))
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname = ANY (@functions@) AND proowner = owner_id
        UNION ALL
        SELECT 3, format('GRANT USAGE ON SCHEMA @schema@ TO %s',
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
        FROM grants
        UNION ALL
        SELECT 4, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA @schema@ GRANT %s ON %s TO %s',
            pg_get_userbyid(d.defaclrole), a.privilege_type,
            CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' ELSE 'FUNCTIONS' END,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
        FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) a
        WHERE d.defaclnamespace = 'public'::regnamespace AND d.defaclrole = owner_id
            AND d.defaclobjtype IN ('r', 'S', 'f')
    )
    SELECT array_agg(m.statement ORDER BY m.step, m.statement) INTO statements FROM moves m;
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    -- Functions are created again, because they name their schema.
    DELETE FROM @schema@.schema_migrations WHERE version = 0;
    -- A collector of an earlier release would create its tables anew. It stops at a version that it does not
    -- know.
    CREATE TABLE public.schema_migrations (LIKE @schema@.schema_migrations INCLUDING DEFAULTS);
    INSERT INTO public.schema_migrations (version, name, checksum, execution_time_ms)
        VALUES (@moved@, '@name@', 'moved', 0);
    COMMENT ON TABLE public.schema_migrations IS
        'The tables of Holdfast were moved from here to the schema in the column name. Collectors of an
earlier release stop at this row; the table can be dropped when there are none.';
END
$move$;
