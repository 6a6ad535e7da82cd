//! `holdfast rebuild-state`: whether the current table is what history says, and making it so.

use std::io::Write;

use super::Failure;
use super::database::with_client;
use crate::config::Config;
use crate::sink::{self, Client, RouteComparison};

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Arguments {
    /// Change what differs; delivery waits meanwhile
    #[arg(long)]
    write: bool,
}

/// Exit code 1 when the table differs, or still differs after it was written.
pub(super) fn run(arguments: Arguments, config: &Config, out: &mut impl Write) -> Result<u8, Failure> {
    with_client(config, async |mut client| {
        let mut found = check(&mut client, config, arguments.write).await?;
        print(&found, out)?;
        if arguments.write && !found.iter().all(RouteComparison::is_consistent) {
            writeln!(out, "\nafter writing:")?;
            found = check(&mut client, config, false).await?;
            print(&found, out)?;
        }
        Ok(u8::from(!found.iter().all(RouteComparison::is_consistent)))
    })
}

async fn check(client: &mut Client, config: &Config, mend: bool) -> Result<Vec<RouteComparison>, Failure> {
    sink::rebuild_state(client, &config.collector, mend).await.map_err(|error| {
        let why = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
        Failure::Other(why, 2)
    })
}

fn print(found: &[RouteComparison], out: &mut impl Write) -> Result<(), Failure> {
    let of =
        |good: bool| found.iter().filter(|it| it.is_consistent() == good).map(|it| it.routes).sum::<u64>();
    writeln!(out, "{} routes compared, {} differ", of(true) + of(false), of(false))?;
    for verdict in found {
        let RouteComparison { name, routes, example } = verdict;
        let example = if verdict.is_consistent() { String::new() } else { format!("  such as {example}") };
        writeln!(out, "{name:<10}{routes:>12}{example}")?;
    }
    Ok(())
}
