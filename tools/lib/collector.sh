# shellcheck shell=bash
# One collector with a throw-away database, as demo and bench run it. Expects $root, $work (a folder of ours), $bin
# (the built programs), $database (the name of the instance), $database_url (empty: the collector only stores), $collector
# (its identity), $bmp_port, and the files of tools/testbed and tools/lib read before.

collector_pid=

sql() { "$root/tools/testbed/timescale" psql --name "$database" -- -v ON_ERROR_STOP=1 "$@"; }
answer() { sql -Atq -c "$1"; }

# start_collector: in a clean environment, so that nothing of the caller's configuration counts.
start_collector() {
    local delivery=()
    [ -z "$database_url" ] || delivery=("DATABASE_URL=$database_url?sslmode=disable")
    (
        cd "$work"
        exec env -i PATH="$PATH" HOME="$work" LANG=C \
            BMP_LISTEN_HOST=127.0.0.1 BMP_LISTEN_PORT="$bmp_port" BMP_ROUTER_NAMES="${router_names:-}" COLLECTOR_ID="$collector" HISTORY_DEDUP=off \
            "${delivery[@]}" STATE_DIR="$work/state" WAL_DIR="$work/wal" STATUS_SOCKET="$work/status.sock" LOG_FORMAT=json \
            "$bin/holdfast" >>"$work/collector.log" 2>&1
    ) &
    collector_pid=$!
    until_true 30 collector_answers || { tail -n 20 "$work/collector.log" >&2; die "the collector did not start"; }
}

collector_answers() {
    kill -0 "$collector_pid" 2>/dev/null || { tail -n 20 "$work/collector.log" >&2; die "the collector ended"; }
    status_document >"$work/status.json" && [ -s "$work/status.json" ]
}

# Its exit code tells the health; here only the answer counts.
status_document() { "$bin/holdfast" status --json --socket "$work/status.sock" 2>/dev/null || [ $? = 1 ]; }

# status_number KEY: a number of the last status document; 0 when it is not there.
status_number() {
    local value
    value=$(sed -n "s/^ *\"$1\": *\(-\{0,1\}[0-9][0-9]*\).*/\1/p" "$work/status.json" | head -n 1)
    printf '%s\n' "${value:-0}"
}

# Orderly end; the exit code is the collector's.
stop_collector() {
    local code=0
    [ -n "$collector_pid" ] || return 0
    kill -TERM "$collector_pid" 2>/dev/null || true
    wait "$collector_pid" || code=$?
    collector_pid=
    return $code
}

kill_collector() {
    kill -KILL "$collector_pid"
    wait "$collector_pid" 2>/dev/null || true
    collector_pid=
}

everything_is_delivered() {
    collector_answers && [ "$(status_number delivered)" = "$(status_number durable)" ] &&
        [ "$(status_number lag_routes)" = 0 ] && [ "$(status_number written)" = "$(status_number durable)" ]
}
