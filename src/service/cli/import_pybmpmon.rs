//! `holdfast import-pybmpmon`: copies the history of pybmpmon into the tables of Holdfast.

use std::io::Write;

use super::{Failure, database};
use crate::config::{self, Config, Inputs};
use crate::sink::{self, ImportReport, ImportRequest, Target, TargetError};
use crate::telemetry::{clock, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Database of pybmpmon, as a URL like that of DATABASE_URL [default: the database of Holdfast]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Schema with the tables of pybmpmon
    #[arg(long, value_name = "NAME", default_value = "public")]
    schema: String,
    /// Collector under which the history is stored; one per imported database
    #[arg(long, value_name = "NAME", default_value = "pybmpmon")]
    collector: String,
    /// Read and convert all rows, print the counts, and store nothing
    #[arg(long)]
    dry_run: bool,
}

/// Exit code of an import that failed; 1 means that rows cannot be represented.
const EXIT_FAILED: u8 = 2;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Rows between two lines of progress.
const ROWS_PER_LINE: u64 = 100_000;

/// Returns exit code 0 if every row is stored, 1 if some cannot be represented. An error is a failure with
/// exit code 2, after which a further run continues.
pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<u8, Failure> {
    if arguments.collector == config.collector {
        let message = format!(
            "--collector: \"{}\" is the COLLECTOR_ID of this collector; the imported history needs another \
             name",
            arguments.collector
        );
        return Err(Failure::Other(message, EXIT_FAILED));
    }
    let target = database::target(config, EXIT_FAILED)?;
    let source = match &arguments.from {
        Some(url) => source(url)?,
        None => target.clone(),
    };
    let request = ImportRequest {
        source: &source,
        schema: &arguments.schema,
        target: &target,
        collector: &arguments.collector,
        router_names: &config.listen.router_names,
        rows_max: crate::num::to_u64(config.delivery.drain_max_rows),
        dry_run: arguments.dry_run,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut written = Ok(());
    let mut next_line = ROWS_PER_LINE;
    let mut progress = |report: &ImportReport| {
        if report.routes_read >= next_line && written.is_ok() {
            next_line = report.routes_read + ROWS_PER_LINE;
            let ImportReport { routes_read, records_stored_now, .. } = report;
            written = writeln!(out, "{routes_read} routes read, {records_stored_now} records stored")
                .and_then(|()| out.flush());
        }
    };
    let report = runtime.block_on(async {
        if !arguments.dry_run {
            let mut client = database::connect(&target, EXIT_FAILED).await?;
            let days = config.delivery.chunk_interval_days;
            sink::migrate(&mut client, target.layout(), days).await.map_err(failed)?;
        }
        sink::import_pybmpmon(request, &mut progress).await.map_err(failed)
    })?;
    written?;
    print(&report, arguments, config, out)?;
    Ok(u8::from(report.rows_not_stored() > 0))
}

fn failed(error: impl ToString) -> Failure {
    Failure::Other(printable(&error.to_string()), EXIT_FAILED)
}

/// The database of a URL. The password may also be in libpq's password file.
fn source(url: &str) -> Result<Target, Failure> {
    let mut environment = vec![("DATABASE_URL".to_owned(), url.to_owned())];
    let names = ["HOME", "PGPASSFILE"].into_iter();
    environment.extend(names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))));
    let loaded = config::load(&Inputs { environment, file: None });
    let (_, config) = loaded.map_err(|invalid| {
        let messages: Vec<&str> = invalid.problems.iter().map(|problem| problem.message.as_str()).collect();
        failed(format!("--from: {}", messages.join("; ")))
    })?;
    let database = config.database.ok_or_else(|| failed("--from: the URL is empty"))?;
    database.target().map_err(|error: TargetError| failed(format!("--from: {error}")))
}

fn print(
    report: &ImportReport,
    arguments: &Arguments,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    for (address, router) in &report.routers {
        let name =
            if router.name == address.to_string() { String::new() } else { format!(" {}", router.name) };
        let text = format!("router {address}{name}: {} routes, {} peer events", router.routes, router.events);
        writeln!(out, "{}", printable(&text))?;
    }
    let ImportReport { routes_read, events_read, routes_stored, records_stored_now, .. } = report;
    let peers = report.peers.len();
    let range = match (report.first, report.last) {
        (Some(first), Some(last)) => format!(", {} to {}", clock::iso8601(first), clock::iso8601(last)),
        _ => String::new(),
    };
    writeln!(out, "read: {routes_read} routes, {events_read} peer events, {peers} peers{range}")?;
    let (verb, now) = if arguments.dry_run {
        ("would be stored", "nothing, because of --dry-run".to_owned())
    } else {
        ("stored", format!("{records_stored_now} records"))
    };
    writeln!(
        out,
        "{verb}: {routes_stored} routes, {events_read} peer events, as collector {}; by this run: {now}",
        printable(&arguments.collector)
    )?;
    for (count, meaning) in [
        (report.duplicates, "routes repeat another one in every column and are stored once"),
        (report.families_corrected, "routes have the family of their prefix instead of the recorded one"),
        (
            report.communities_lost,
            "extended communities cannot be restored from their text; the column discarded names them",
        ),
    ] {
        if count > 0 {
            writeln!(out, "note: {count} {meaning}")?;
        }
    }
    for (reason, count) in &report.not_stored {
        writeln!(out, "not stored: {count} routes: {}", printable(reason))?;
    }
    if let (Some(days), Some(first)) = (config.delivery.retention_routes_days, report.first)
        && clock::now().0 - first.0 > i64::from(days) * DAY_MICROS
    {
        writeln!(
            out,
            "warning: there are routes older than RETENTION_ROUTES_DAYS ({days}), which retention drops"
        )?;
    }
    out.flush()?;
    Ok(())
}
