//! `holdfast rebuild-state`: compares the current table with history, and repairs it.

use std::io::Write;

use super::Failure;
use super::database::{failed, with_client};
use crate::config::Config;
use crate::sink::{self, Client, RouteComparison};

/// Exit code if the database failed; tables that differ have exit code 1.
const EXIT_DATABASE: u8 = 2;

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Arguments {
    /// Repair the routes that differ; delivery waits meanwhile
    #[arg(long)]
    write: bool,
}

/// Returns exit code 1 if the current table differs from history, or still differs after the repair.
pub(super) fn run(arguments: Arguments, config: &Config, out: &mut impl Write) -> Result<u8, Failure> {
    with_client(config, EXIT_DATABASE, async |mut client| {
        let mut found = check(&mut client, config, arguments.write).await?;
        print(&found, out)?;
        if arguments.write && !found.iter().all(RouteComparison::is_consistent) {
            writeln!(out, "\nafter the repair:")?;
            found = check(&mut client, config, false).await?;
            print(&found, out)?;
        }
        Ok(u8::from(!found.iter().all(RouteComparison::is_consistent)))
    })
}

async fn check(client: &mut Client, config: &Config, repair: bool) -> Result<Vec<RouteComparison>, Failure> {
    let found = sink::rebuild_state(client, &config.collector, repair).await;
    found.map_err(|error| failed(&error, EXIT_DATABASE))
}

fn print(found: &[RouteComparison], out: &mut impl Write) -> Result<(), Failure> {
    let total: u64 = found.iter().map(|comparison| comparison.routes).sum();
    let different = found.iter().filter(|comparison| !comparison.is_consistent());
    writeln!(out, "{total} routes compared, {} differ", different.map(|it| it.routes).sum::<u64>())?;
    for comparison in found {
        let RouteComparison { name, routes, example } = comparison;
        let example =
            if comparison.is_consistent() { String::new() } else { format!("  for example {example}") };
        writeln!(out, "{name:<10}{routes:>12}{example}")?;
    }
    Ok(())
}
