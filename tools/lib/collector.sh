# shellcheck shell=bash
# shellcheck disable=SC2154
# One collector with a throw-away database, for tools/demo and tools/bench. Expects tools/testbed/lib.sh to be
# sourced and these variables: root; work (a temporary folder); bin (folder of the programs); database (name
# of the instance); database_url (empty: store-only mode); collector (COLLECTOR_ID); bmp_port. The array
# collector_settings may hold further settings, as NAME=value.

collector_pid=
collector_settings=()

sql() { "$root/tools/testbed/timescale" psql --name "$database" -- -v ON_ERROR_STOP=1 "$@"; }
answer() { sql -Atq -c "$1"; }

# Starts the collector with an empty environment and waits until its status socket answers. The share of free
# disk space does not matter, so that the result is the same on a machine whose disk is nearly full.
start_collector() {
    local delivery=()
    [ -z "$database_url" ] || delivery=("DATABASE_URL=$database_url?sslmode=disable")
    (
        cd "$work" || exit
        exec env -i PATH="$PATH" HOME="$work" LANG=C \
            BMP_LISTEN_HOST=127.0.0.1 BMP_LISTEN_PORT="$bmp_port" BMP_ROUTER_NAMES="${router_names:-}" \
            COLLECTOR_ID="$collector" HISTORY_DEDUP=off "${delivery[@]}" STATE_DIR="$work/state" \
            WAL_DIR="$work/wal" WAL_FREE_PERCENT_MIN=0 STATUS_SOCKET="$work/status.sock" LOG_FORMAT=json \
            "${collector_settings[@]}" "$bin/holdfast" >>"$work/collector.log" 2>&1
    ) &
    collector_pid=$!
    until_true 30 collector_answers || die_with_log "the collector did not start"
}

die_with_log() { tail -n 20 "$work/collector.log" >&2; die "$1; the end of its log is above"; }

collector_answers() {
    kill -0 "$collector_pid" 2>/dev/null || die_with_log "the collector exited"
    status_document >"$work/status.json" && [ -s "$work/status.json" ]
}

# Prints the status document. Exit code 1 means unhealthy and is accepted.
status_document() { "$bin/holdfast" status --json --socket "$work/status.sock" 2>/dev/null || [ $? = 1 ]; }

# status_number KEY: prints a number of the last status document, or 0 if it is absent.
status_number() {
    local value
    value=$(sed -n "s/^ *\"$1\": *\(-\{0,1\}[0-9][0-9]*\).*/\1/p" "$work/status.json" | head -n 1)
    printf '%s\n' "${value:-0}"
}

# Stops the collector in an orderly way; returns its exit code.
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
