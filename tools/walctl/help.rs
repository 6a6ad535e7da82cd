//! Examples and exit codes at the end of each help text.

pub(crate) const WALCTL: &str = "\
Examples:
  walctl list /var/lib/holdfast/wal              list the segments
  walctl stat /var/lib/holdfast/wal              size, growth and backlog
  walctl verify /var/lib/holdfast/wal --deep     check every byte
  walctl dump /var/lib/holdfast/wal --prefix 192.0.2.0/24 --since 2h
  walctl salvage /mnt/broken/wal /var/tmp/wal    copy all readable batches
  walctl drain /var/tmp/wal --to postgres://holdfast@db/holdfast

Exit codes:
  0  success; no damage
  1  torn tail: a crash interrupted a write that was not synced; other meanings: see each command
  2  loss: synced data is corrupt or missing
  3  a file, the directory or the database cannot be read
  64 invalid arguments";

pub(crate) const LIST: &str = "\
Example:
  walctl list wal --json | jq 'select(.state != \"complete\")'

Only headers are read. Damage that they show is listed below the segments.

Exit codes:
  0  no damage of the headers
  2  loss: a segment is missing, truncated or of another log, or a header copy or marker file is corrupt
  3  unreadable: a file, both copies of a header, or the directory
  64 invalid arguments";

pub(crate) const STAT: &str = "\
Examples:
  walctl stat wal                                         size, growth, time until full
  walctl stat wal --to postgres://holdfast@db/holdfast    and the backlog of that database

The contents of segments are not checked; see `walctl verify`.

Exit codes:
  0  no damage of the headers
  2  loss: a segment is missing, truncated or of another log, or a header copy or marker file is corrupt
  3  unreadable: a file, both copies of a header, the directory, or the database
  64 invalid arguments";

pub(crate) const VERIFY: &str = "\
Examples:
  walctl verify wal           all segment headers, and every byte of the last segment
  walctl verify wal --deep    every byte of every segment

Exit codes:
  0  no damage
  1  torn tail: a crash interrupted a write that was not synced
  2  loss: synced data is corrupt; or a segment is missing, truncated, or of another log; or the log ends
     before the last batch that was delivered from it
  3  unreadable: a file, a header or the directory, which also must hold a log
  64 invalid arguments";

pub(crate) const DUMP: &str = "\
Examples:
  walctl dump wal --seq 7..9              records of batches 7 to 9 as a table
  walctl dump wal --json                  one JSON object per record, as in `holdfast decode`
  walctl dump wal --batches               one line per batch
  walctl dump wal --peer 192.0.2.1 --since 15m --follow

Exit codes:
  0  all selected batches were printed
  2  batches are missing or cannot be decoded
  3  the log cannot be read
  64 invalid arguments";

pub(crate) const EXPORT: &str = "\
Examples:
  walctl export wal --format csv --out routes.csv
  walctl export wal --format mrt --rib adj-in-pre --out updates.mrt && bgpdump -m updates.mrt

MRT is BGP4MP_ET (RFC 6396; RFC 8050 for path identifiers). It represents IPv4 and IPv6 unicast routes
and peer state changes; the number of other records is reported on standard error. MRT does not record
the RIB view: select one with --rib. The local side of a BGP session is not in the log; its AS and
address are written as 0.

Exit codes:
  0  success
  2  batches are missing or cannot be decoded
  3  the log cannot be read, or the output cannot be written
  64 invalid arguments";

pub(crate) const SALVAGE: &str = "\
Example:
  walctl salvage /mnt/broken/wal /var/tmp/wal

The source is not modified. The copy keeps the log id and the sequence numbers; lost batches become
gaps. The daemon or `walctl drain` can continue with the copy.

Exit codes:
  0  all batches were copied
  2  some batches were lost, or a file was not copied; each range and each file is printed
  3  nothing could be copied
  64 invalid arguments";

pub(crate) const REPAIR: &str = "\
Examples:
  walctl repair wal          report the state and the planned change
  walctl repair wal --yes    recover and close the log

Existing data is not modified: the last sync group, whose durability is unknown after a crash, is
copied into a new segment. The daemon does the same at every start.

Exit codes:
  0  nothing to do, or done
  1  recovery is needed: re-run with --yes
  2  files are damaged in a way that recovery does not restore; lost batches become gaps
  3  recovery is not possible
  64 invalid arguments";

pub(crate) const DRAIN: &str = "\
Example:
  walctl drain /var/tmp/wal --to postgres://holdfast@db/holdfast

Delivers exactly as the daemon does: no record is stored twice, and the current table never goes back
to an older state. Takes the log's lock and recovers the log first. If the disk must not be written,
run `walctl salvage` and drain the copy.

Exit codes:
  0  all batches are delivered
  1  another collector holds the lane, or the log is a copy that has diverged (see --fork)
  3  delivery is not possible
  64 invalid arguments";

pub(crate) const DIFF: &str = "\
Example:
  walctl diff wal --to postgres://holdfast@db/holdfast --json

Exit codes:
  0  the database has all batches, or is behind
  1  the database is ahead, or the log has diverged (copied or restored)
  3  the comparison is not possible
  64 invalid arguments";

pub(crate) const REJECTED: &str = "\
Example:
  walctl rejected list --to postgres://holdfast@db/holdfast

Exit codes:
  0  success
  1  no such rejected record, or records were rejected again
  3  the database cannot be read
  64 invalid arguments";

pub(crate) const REJECTED_LIST: &str = "\
Example:
  walctl rejected list --to postgres://holdfast@db/holdfast

Exit codes:
  0  success
  3  the database cannot be read
  64 invalid arguments";

pub(crate) const REJECTED_SHOW: &str = "\
Example:
  walctl rejected show 1042:17 --to postgres://holdfast@db/holdfast

Exit codes:
  0  found
  1  no such rejected record
  3  the database cannot be read
  64 invalid arguments";

pub(crate) const REJECTED_RETRY: &str = "\
Example:
  walctl rejected retry --to postgres://holdfast@db/holdfast --collector edge1

A record that is older than the current state of its route is added to history only.

Exit codes:
  0  all records are stored
  1  some records were rejected again
  3  the database cannot be read
  64 invalid arguments";

pub(crate) const BENCH: &str = "\
Example:
  walctl bench /var/lib/holdfast

Creates a temporary directory in DIR and removes it at the end. Running it beside the daemon slows the
daemon down.

Exit codes:
  0  success
  3  the disk cannot be used
  64 invalid arguments";
