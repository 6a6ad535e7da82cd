//! `holdfast forget`: removes a router or a peer that will not return from the current tables.

use std::io::Write;

use super::Failure;
use super::database::with_client;
use crate::config::Config;
use crate::sink::{self, ForgetError, ForgetRequest};
use crate::telemetry::printable;

/// Exit code if the database failed; an unknown or live router or peer has exit code 1.
const EXIT_DATABASE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the router, as in `holdfast query routers`
    router: String,
    /// Peer of the router: its address, perhaps with AS65001 or bgp-id=192.0.2.1; all peers and the router
    /// itself if absent
    peer: Vec<String>,
    /// Forget the router although it is connected, or the peer although it is up; later records bring it back
    #[arg(long)]
    force: bool,
}

/// Returns exit code 0. An unknown or live router or peer is a failure with exit code 1, an error of the
/// database one with exit code 2.
pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<u8, Failure> {
    let peer = (!arguments.peer.is_empty()).then(|| arguments.peer.join(" "));
    let request = ForgetRequest { router: &arguments.router, peer: peer.as_deref(), force: arguments.force };
    let forgotten = with_client(config, EXIT_DATABASE, async |mut client| {
        sink::forget(&mut client, &config.collector, request).await.map_err(|error| {
            let code = if matches!(error, ForgetError::Database(_)) { EXIT_DATABASE } else { 1 };
            Failure::Other(printable(&error.to_string()), code)
        })
    })?;
    for peer in &forgotten {
        let text = format!("peer {}: {} RIB views, {} routes", peer.peer, peer.views, peer.routes);
        writeln!(out, "{}", printable(&text))?;
    }
    let views: u64 = forgotten.iter().map(|peer| peer.views).sum();
    let routes: u64 = forgotten.iter().map(|peer| peer.routes).sum();
    let what = if peer.is_some() { "peers of router" } else { "router" };
    let text = format!(
        "forgot {what} {}: {} peers, {views} RIB views, {routes} routes; the history remains",
        arguments.router,
        forgotten.len()
    );
    writeln!(out, "{}", printable(&text))?;
    Ok(0)
}
