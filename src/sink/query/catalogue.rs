//! The catalogue of the queries of `holdfast query`.
//!
//! Each query is a function in migrations/functions; a test compares the catalogue with the database.

use super::kind::Kind;

/// A parameter of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name on the command line.
    pub name: &'static str,
    /// Name of the function's parameter: `name`, or `of_` and `name` if a column has that name.
    pub sql_name: &'static str,
    /// Its data type in PostgreSQL.
    pub sql_type: &'static str,
    /// The accepted values.
    pub kind: Kind,
    /// The default as it is shown; `None` if the parameter is required.
    pub default: Option<&'static str>,
}

impl Parameter {
    /// True if the parameter has no default.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.default.is_none()
    }
}

/// A query that the database offers as a function.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Name of the function.
    pub name: &'static str,
    /// Parameters in the order of the function.
    pub parameters: &'static [Parameter],
    /// Description of the result in one line.
    pub about: &'static str,
    /// Arguments of valid calls, as in a shell.
    pub examples: &'static [&'static str],
}

const fn required(name: &'static str, sql_type: &'static str, kind: Kind) -> Parameter {
    Parameter { name, sql_name: name, sql_type, kind, default: None }
}

const fn optional(
    name: &'static str,
    sql_type: &'static str,
    kind: Kind,
    default: &'static str,
) -> Parameter {
    Parameter { name, sql_name: name, sql_type, kind, default: Some(default) }
}

const fn span(default: &'static str) -> Parameter {
    optional("span", "interval", Kind::Period, default)
}

const fn query(
    name: &'static str,
    parameters: &'static [Parameter],
    about: &'static str,
    examples: &'static [&'static str],
) -> Query {
    Query { name, parameters, about, examples }
}

const UNTIL: Parameter = optional("until", "timestamptz", Kind::Time, "now");
const PEER: Parameter =
    Parameter { sql_name: "of_peer", ..optional("peer", "text", Kind::Peer, "all peers") };

const COLLECTOR: Parameter = Parameter {
    sql_name: "of_collector",
    ..optional("collector", "text", Kind::Collector, "all collectors, each event once")
};

/// All queries, in the order in which `holdfast query` lists them.
pub const QUERIES: &[Query] = &[
    query(
        "route_lookup",
        &[required("address", "inet", Kind::Address)],
        "longest matching prefix of an address in each RIB view",
        &["192.0.2.1", "2001:db8::1 --format json"],
    ),
    query(
        "prefix_lookup",
        &[
            required("prefix", "cidr", Kind::Prefix),
            optional("match", "text", Kind::Choice(&["exact", "more", "less"]), "exact"),
        ],
        "current routes of a prefix; match: exact, more (specific) or less (specific)",
        &["192.0.2.0/24", "192.0.2.0/24 more --fields peer,route,path"],
    ),
    query(
        "rib_at",
        &[
            Parameter { sql_name: "of_peer", ..required("peer", "text", Kind::Peer) },
            required("at", "timestamptz", Kind::Time),
            Parameter { sql_name: "of_rib", ..optional("rib", "text", Kind::View, "all RIB views") },
            COLLECTOR,
        ],
        "table of a peer at a past time",
        &["198.51.100.1 '2026-11-23 12:00Z' rib=adj-in-pre --limit 100", "AS65001 '2 hours ago'"],
    ),
    query(
        "prefix_timeline",
        &[required("prefix", "cidr", Kind::Prefix), span("7 days"), UNTIL, PEER, COLLECTOR],
        "announcements and withdrawals of a prefix, and the events of its peers",
        &["192.0.2.0/24", "192.0.2.0/24 '1 day' until=2026-11-23 peer=AS65001"],
    ),
    query(
        "peer_differences",
        &[
            required("peer_a", "text", Kind::Peer),
            required("peer_b", "text", Kind::Peer),
            optional("at_a", "timestamptz", Kind::Time, "now"),
            optional("at_b", "timestamptz", Kind::Time, "now"),
            optional("rib", "text", Kind::View, "adj-in-pre"),
            COLLECTOR,
        ],
        "differences between two peers, or of one peer at two times",
        &["AS65001 AS65002", "AS65001 AS65001 at_a='1 day ago'"],
    ),
    query(
        "churn",
        &[
            optional("by", "text", Kind::Choice(&["prefix", "peer", "as"]), "prefix"),
            span("1 hour"),
            UNTIL,
            COLLECTOR,
        ],
        "number of announcements and withdrawals by prefix, peer or as, without dumps and re-dumps",
        &["--limit 20", "by=peer span='6 hours' until='2026-11-23 12:00Z'"],
    ),
    query(
        "origin_changes",
        &[span("1 hour"), UNTIL, COLLECTOR],
        "announcements whose origin AS differs from that of the previous announcement",
        &["", "'1 day' until=2026-11-23"],
    ),
    query("moas", &[], "prefixes currently originated by several AS numbers", &["", "--format json"]),
    query(
        "withdraw_storms",
        &[
            span("1 day"),
            optional("bucket", "interval", Kind::Bucket, "1 minute"),
            optional("at_least", "bigint", Kind::Count, "1000"),
            COLLECTOR,
        ],
        "peers with many withdrawals within one time bucket",
        &["", "'7 days' bucket='5 minutes' at_least=100"],
    ),
    query(
        "flapping_routes",
        &[optional("at_least", "bigint", Kind::Count, "10")],
        "routes by number of changes per day",
        &["--limit 20", "100"],
    ),
    query(
        "as_path_search",
        &[
            required("asns", "bigint[]", Kind::AsNumbers),
            optional("adjacent", "boolean", Kind::Flag, "false"),
        ],
        "current routes whose AS path contains all these AS numbers; adjacent: as a sequence",
        &["AS3356", "3356,1299 adjacent=true"],
    ),
    query(
        "community_search",
        &[required("community", "text", Kind::Community)],
        "current routes with a community of any kind",
        &["65000:100", "no-export", "RT:65000:100"],
    ),
    query("policy_effect", &[PEER], "routes that policy rejected or changed", &["", "198.51.100.1"]),
    query(
        "hijacks",
        &[optional("span", "interval", Kind::Duration, "0"), COLLECTOR],
        "routes inside own_prefixes whose origin or length is not permitted; span: past ones as well",
        &["", "'7 days'"],
    ),
    query("leaks", &[], "route leaks by the roles in peer_roles", &[""]),
    query(
        "rpki",
        &[
            Parameter {
                sql_name: "of_state",
                ..optional("state", "text", Kind::Choice(&["invalid", "valid", "not-found"]), "invalid")
            },
            PEER,
        ],
        "current routes by origin validation state: invalid, valid or not-found",
        &["", "not-found peer=AS65001"],
    ),
    query(
        "evpn_bindings",
        &[
            optional("mac", "text", Kind::Mac, "all MAC addresses"),
            optional("ip", "inet", Kind::Address, "all hosts"),
        ],
        "current MAC and MAC/IP advertisements",
        &["0011.2233.4455", "ip=192.0.2.1"],
    ),
    query(
        "evpn_moves",
        &[span("1 day"), COLLECTOR],
        "MAC addresses that moved to another VTEP",
        &["", "'7 days'"],
    ),
    query("evpn_duplicates", &[], "MAC addresses currently behind several VTEPs", &[""]),
    query("peers", &[PEER], "RIB views of peers with state and counters", &["", "AS65001"]),
    query(
        "peer_flaps",
        &[span("1 day"), PEER, COLLECTOR],
        "Peer Ups and Peer Downs, with reasons",
        &["", "'7 days' AS65001"],
    ),
    query("peer_capabilities", &[PEER], "capabilities in the OPEN messages of a peer", &["198.51.100.1"]),
    query(
        "peer_counters",
        &[PEER, span("1 day")],
        "newest counters of the Statistics Reports",
        &["198.51.100.1", "span='7 days'"],
    ),
    query(
        "completeness",
        &[
            PEER,
            optional("grace", "interval", Kind::Duration, "5 minutes"),
            optional("share", "numeric", Kind::Share, "0.75"),
        ],
        "completeness of each table, and alarms for missing routes",
        &["", "peer=AS65001 share=90%"],
    ),
    query(
        "table_growth",
        &[span("30 days"), optional("bucket", "interval", Kind::Bucket, "1 day"), PEER, COLLECTOR],
        "number of current routes of each peer and family over time",
        &["", "'7 days' bucket=6h peer=AS65001"],
    ),
    query("routers", &[], "routers, each once, whichever collectors they are connected to", &[""]),
    query("collector_health", &[], "delivery, gaps and rejected records of each collector", &[""]),
    query(
        "gaps",
        &[span("30 days")],
        "missing data, with reasons",
        &["", "'1 day' --fields noticed_at,router,reason"],
    ),
];

impl Query {
    /// The query of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        QUERIES.iter().find(|query| query.name == name)
    }

    /// Usage line: the name, required parameters in capitals, the others in brackets.
    #[must_use]
    pub fn usage(&self) -> String {
        let arguments = self.parameters.iter().map(|parameter| match parameter.is_required() {
            true => format!(" {}", parameter.name.to_uppercase()),
            false => format!(" [{}=…]", parameter.name),
        });
        std::iter::once(self.name.to_owned()).chain(arguments).collect()
    }

    /// Help text: description, usage, parameters with accepted values and defaults, and examples.
    #[must_use]
    pub fn help(&self) -> String {
        let mut text = format!("{}: {}\n\nUsage: holdfast query {}\n", self.name, self.about, self.usage());
        if !self.parameters.is_empty() {
            text.push_str("\nParameters, in order or as name=value:\n");
        }
        for parameter in self.parameters {
            let default =
                parameter.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
            text.push_str(&format!("  {}\n", parameter.name));
            for line in wrapped(&format!("{}{default}", parameter.kind.accepted())) {
                text.push_str(&format!("      {line}\n"));
            }
        }
        text.push_str("\nExamples:\n");
        for example in self.examples {
            text.push_str(format!("  holdfast query {} {example}", self.name).trim_end());
            text.push('\n');
        }
        text
    }
}

/// Maximum length of a line of a help text, without its indentation.
const HELP_COLUMNS: usize = 90;

/// Lines of at most [`HELP_COLUMNS`] characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < HELP_COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
