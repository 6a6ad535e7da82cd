# shellcheck shell=bash
# shellcheck disable=SC2154
# A large history in a throw-away database, for tools/bench/queries, page and dashboards. Expects
# tools/testbed/lib.sh to be sourced and these variables: root; name (of the instance); url (of the instance);
# millions (rows of history); begin (first day of the month of changes).

# The schema of the tables, as `holdfast migrate` creates it.
export PGOPTIONS='-c search_path=holdfast,public'
instance() { "$root/tools/testbed/timescale" "$1" --name "$name" "${@:2}"; }
database() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$url" "$@"; }

store_wide_rows() {
    # As if the collector had run: a partition of attribute sets for each week.
    database <<SQL
SELECT format('CREATE TABLE attribute_sets_%s PARTITION OF attribute_sets FOR VALUES FROM (%L) TO (%L)',
    to_char(week, 'YYYYMMDD'), week, week + interval '7 days')
FROM generate_series(holdfast_week('$begin'), (SELECT min(from_time) FROM time_partitions
    WHERE table_name = 'attribute_sets') - interval '7 days', '7 days') AS week
\\gexec
SQL
    sed 's/{chunk}/wide_rows/;s/{whole}/false/g' "$root/src/sink/admin/convert_chunk.sql" |
        database --single-transaction -f -
    database -c 'VACUUM ANALYZE'
}

# Half of the rows are initial dumps of 20 peers; the first has 50,000 prefixes for each million rows.
# make_history FILE: FILE is SQL with more history. All of it is generated as rows of the view route_updates,
# and stored as `holdfast migrate` stores such rows.
make_history() {
    local churn large small part hosts
    churn=$((millions * 500000))
    large=$((millions * 50000))
    small=$(((millions * 1000000 - churn - large) / 19))
    hosts=$((millions * 5000))
    database -c 'CREATE SCHEMA holdfast'
    sed 's/@schema@/holdfast/g' "$root"/migrations/*.sql "$root"/migrations/functions/*.sql |
        database --output /dev/null
    # For bulk loading only; the WAL size does not affect the queries below.
    database -c "ALTER SYSTEM SET max_wal_size = '3GB'" -c 'SELECT pg_reload_conf()' --output /dev/null
    database -c "CREATE TABLE sets AS SELECT number, 0::smallint AS origin,
        ARRAY[65000 + number % 20, 3356, 1299 + number % 50, 100000 + number % 40000]::bigint[] AS as_path,
        100000::bigint + number % 40000 AS origin_as, '198.51.100.0'::inet + number % 20 AS next_hop,
        (number % 7)::bigint AS med,
        ARRAY['65000:' || number % 500, '65000:' || 1000 + number % 3] AS communities
        FROM generate_series(0, 99999) AS number"
    database -c 'CREATE UNLOGGED TABLE wide_rows AS SELECT * FROM route_updates WITH NO DATA' \
        -c 'ALTER TABLE wide_rows DROP COLUMN incarnation'
    for part in 0 1; do
        database --set begin="$begin" --set part=$part --set parts=2 --set large=$large --set small=$small \
            --set churn=$churn --set hosts=$hosts -f "$root/tools/bench/queries.sql" &
    done
    wait
    database --set begin="$begin" -f "$1"
    store_wide_rows
    database --set begin="$begin" -f "$root/tools/bench/queries_current.sql"
    # The peers' counters, as the collector would have written them.
    database -c "UPDATE bgp_peers p SET announced = n FROM (SELECT peer_id, count(*) AS n FROM rib_entries
        GROUP BY 1) r WHERE r.peer_id = p.id" \
        -c "INSERT INTO collector_reports VALUES ('bench', now(), now())"
}
