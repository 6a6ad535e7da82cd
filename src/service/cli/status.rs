//! The command `holdfast status`, and the socket that it and `holdfast top` read.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, Inputs};
use crate::telemetry::status::{Health, fetch, one_router, overview, problems, render};

/// Status socket of the packaged systemd service. It is used if neither the settings nor the environment name
/// another one.
const PACKAGED_SOCKET: &str = "/run/holdfast/status.sock";

/// Exit code if the status of the router is unknown.
const EXIT_UNKNOWN: u8 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the whole status as JSON
    #[arg(long, conflicts_with_all = ["router", "problems", "all"])]
    json: bool,
    /// Print this router with its peers and tables; NAME is its name or address
    #[arg(long, value_name = "NAME", conflicts_with_all = ["problems", "all"])]
    router: Option<String>,
    /// Print all conditions, lanes, routers, peers and tables that need attention
    #[arg(long, conflicts_with = "all")]
    problems: bool,
    /// Print the whole status, with all peers and tables of all routers
    #[arg(long)]
    all: bool,
    /// Exit with 0 instead of 1 if the collector is degraded, for health checks that restart it
    #[arg(long)]
    allow_degraded: bool,
    /// Status socket of the daemon [default: STATUS_SOCKET of the settings]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

pub(super) fn run(
    arguments: &Arguments,
    env_file: Option<&Path>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let socket = socket(arguments.socket.as_deref(), env_file)?;
    let document = fetch(&socket).map_err(|error| Failure::Other(error.to_string(), error.code()))?;
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        let text = match &arguments.router {
            Some(name) => one_router(&document, name).ok_or_else(|| unknown_router(name))?,
            None if arguments.problems => problems(&document),
            None if arguments.all => render(&document),
            None => overview(&document),
        };
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    let is_accepted = arguments.allow_degraded && document.state == Health::Degraded;
    Ok(if is_accepted { Health::Healthy.code() } else { document.state.code() })
}

fn unknown_router(name: &str) -> Failure {
    Failure::Other(
        format!("no router has the name or address {name}; `holdfast status --all` lists the routers"),
        EXIT_UNKNOWN,
    )
}

/// The socket of the arguments, else the default one.
pub(super) fn socket(argument: Option<&Path>, env_file: Option<&Path>) -> Result<PathBuf, Failure> {
    argument.map_or_else(|| default_socket(env_file), |socket| Ok(socket.to_owned()))
}

/// The configured socket, or that of the packaged service.
fn default_socket(env_file: Option<&Path>) -> Result<PathBuf, Failure> {
    let inputs = Inputs::from_process(env_file)?;
    let (raw, config) = config::load(&inputs)?;
    let is_set = ["STATUS_SOCKET", "STATE_DIR"].iter().any(|name| raw.by_name(name).is_some())
        || ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"]
            .iter()
            .any(|name| inputs.systemd_directory(name).is_some());
    let packaged = Path::new(PACKAGED_SOCKET);
    Ok(if !is_set && !config.status_socket.exists() && packaged.exists() {
        packaged.to_owned()
    } else {
        config.status_socket
    })
}
