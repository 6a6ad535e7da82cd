-- Three roles for one database, with the least rights that each needs:
--   holdfast_owner   owns the tables; runs `holdfast migrate`, and nothing else
--   holdfast_writer  the collector: stores rows; manages retention and partitions with functions of the owner
--   holdfast_reader  for `holdfast query` and dashboards
--
-- To be run once, as a superuser, in the target database, which is empty or was migrated by holdfast_owner:
--   createdb holdfast && psql -d holdfast -f roles.sql
--   psql -d holdfast -c '\password holdfast_owner'                  (and the other two)
--   DB_USER=holdfast_owner holdfast migrate     (at every update, before the collector starts)
-- It can be run repeatedly. With another DB_SCHEMA than holdfast: psql -v schema=NAME -d … -f roles.sql
\set ON_ERROR_STOP on
\if :{?schema}
\else
    \set schema holdfast
\endif

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['holdfast_owner', 'holdfast_writer', 'holdfast_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- The owner of the database can create the extension timescaledb, because that is a trusted extension.
ALTER DATABASE :"DBNAME" OWNER TO holdfast_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- For the views with the names of pybmpmon (DB_PUBLIC_VIEWS).
GRANT USAGE, CREATE ON SCHEMA public TO holdfast_owner;
GRANT USAGE ON SCHEMA public TO holdfast_writer, holdfast_reader;
CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION holdfast_owner;
GRANT USAGE ON SCHEMA :"schema" TO holdfast_writer, holdfast_reader;
-- So that statements need not name the schema. Holdfast does not depend on it; the dashboards do.
ALTER ROLE holdfast_owner IN DATABASE :"DBNAME" SET search_path = :"schema", public;
ALTER ROLE holdfast_writer IN DATABASE :"DBNAME" SET search_path = :"schema", public;
ALTER ROLE holdfast_reader IN DATABASE :"DBNAME" SET search_path = :"schema", public;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO holdfast_writer;
GRANT CONNECT ON DATABASE :"DBNAME" TO holdfast_reader;
-- The statement timeout keeps long queries from delaying delivery.
ALTER ROLE holdfast_reader IN DATABASE :"DBNAME" SET default_transaction_read_only = on;
ALTER ROLE holdfast_reader IN DATABASE :"DBNAME" SET statement_timeout = '5min';

-- Privileges on future objects of the owner, then on existing ones.
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO holdfast_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner IN SCHEMA :"schema"
    GRANT USAGE ON SEQUENCES TO holdfast_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner IN SCHEMA :"schema"
    GRANT EXECUTE ON FUNCTIONS TO holdfast_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner IN SCHEMA :"schema"
    GRANT SELECT ON TABLES TO holdfast_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO holdfast_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA :"schema" TO holdfast_writer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA :"schema" TO holdfast_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO holdfast_reader;
