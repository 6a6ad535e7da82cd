//! Examples and exit codes at the end of each help text, which become sections of the manual pages.

pub(in crate::service::cli) const HOLDFAST: &str = "\
Settings come from the environment and from the file of --env-file; holdfast.env(5) lists them.

Examples:
  holdfast --env-file /etc/holdfast/holdfast.env check-config
  holdfast --env-file /etc/holdfast/holdfast.env
  holdfast status
  holdfast query route_lookup 192.0.2.1

Exit codes:
  0   stopped in order
  1   failed; the reason is in the log
  2   invalid arguments
  78  invalid configuration
  Other commands have further codes: see the help of each.";

pub(in crate::service::cli) const RUN: &str = "\
SIGTERM and SIGINT stop the collector in order; SIGHUP reloads the settings.

Example:
  holdfast --env-file /etc/holdfast/holdfast.env run

Exit codes:
  0   stopped in order
  1   failed; the reason is in the log
  2   invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const CHECK_CONFIG: &str = "\
Examples:
  holdfast --env-file /etc/holdfast/holdfast.env check-config
  holdfast check-config --quiet && systemctl reload holdfast

Exit codes:
  0   the configuration is valid; warnings may have been printed
  1   a check of --connect failed
  2   invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const DOCTOR: &str = "\
Changes nothing and may run beside the collector. Run it as the user of the service.

Example:
  runuser -u holdfast -- holdfast --env-file /etc/holdfast/holdfast.env doctor

Exit codes:
  0   all checks passed, or were not made
  1   a check failed
  2   invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const STATUS: &str = "\
Examples:
  holdfast status                  one screen, the worst first
  holdfast status --problems       everything that needs attention
  holdfast status --router edge1   one router with its peers and tables
  holdfast status --json | jq .conditions

Exit codes:
  0   healthy
  1   degraded
  2   down: no collector answers; or invalid arguments
  3   unknown: no permission for the socket, an unreadable answer, or no router of this name
  78  invalid configuration";

pub(in crate::service::cli) const TOP: &str = "\
The key ? lists the keys.

Examples:
  holdfast top
  holdfast top --interval 5

Exit codes:
  0   ended by a key or a signal
  2   the terminal cannot be used; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const MIGRATE: &str = "\
Run it as the role that is to own the tables.

Examples:
  holdfast --env-file /etc/holdfast/holdfast.env migrate
  DATABASE_URL=postgres://holdfast_owner@db.example.net/holdfast holdfast migrate

Exit codes:
  0   the schema is up to date
  1   failed; the schema is unchanged
  2   invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const REJECTED: &str = "\
Examples:
  holdfast rejected           list the rejected records
  holdfast rejected retry     store them again, after the cause was removed

Exit codes:
  0   success
  1   some records were rejected again
  2   the database failed; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const REJECTED_LIST: &str = "\
Example:
  holdfast rejected list

Exit codes:
  0   success
  2   the database failed; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const REJECTED_RETRY: &str = "\
Example:
  holdfast rejected retry

Exit codes:
  0   all records are stored
  1   some records were rejected again
  2   the database failed; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const REBUILD_STATE: &str = "\
Examples:
  holdfast rebuild-state           compare
  holdfast rebuild-state --write   compare and repair

Exit codes:
  0   the tables are equal
  1   they differ, or still differ after the repair
  2   the database failed; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const FORGET: &str = "\
The history remains.

Examples:
  holdfast forget edge1                       a router with all its peers
  holdfast forget edge1 192.0.2.1             one peer of it
  holdfast forget edge1 192.0.2.1 AS65001     one of several peers at this address

Exit codes:
  0   removed
  1   the router or peer is unknown, connected or up
  2   the database failed; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const IMPORT_PYBMPMON: &str = "\
An import that was interrupted is continued by running it again.

Examples:
  holdfast import-pybmpmon --dry-run
  holdfast import-pybmpmon --from postgres://bmpmon@db.example.net/bmpmon

Exit codes:
  0   every row is stored
  1   some rows cannot be represented; all others are stored
  2   failed: run it again; or invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const QUERY: &str = "\
Without a name, all queries are listed. `holdfast query NAME --help` explains one: its parameters with \
their accepted values and defaults, and examples. holdfast-queries(7) explains all.

Examples:
  holdfast query --list
  holdfast query route_lookup 192.0.2.1
  holdfast query churn by=peer span='6 hours' --format json
  holdfast query peers --fields router,peer,state,down_reason

Exit codes:
  0   success
  1   the database failed
  2   unknown query, invalid argument, or no such peer
  78  invalid configuration";

pub(in crate::service::cli) const RPKI: &str = "\
Example:
  holdfast rpki load vrps.json

Exit codes:
  0   all VRPs are replaced
  1   failed; the VRPs are unchanged
  2   invalid arguments
  78  invalid configuration";

pub(in crate::service::cli) const DECODE: &str = "\
Examples:
  holdfast decode recorded.bmp | jq -c 'select(.action == \"withdraw\")'
  holdfast decode --hex message.txt

Exit codes:
  0   every message was decoded
  1   a message could not be decoded
  2   a file cannot be read; or invalid arguments";
