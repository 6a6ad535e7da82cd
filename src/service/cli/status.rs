//! The command `holdfast status`.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, Inputs};
use crate::telemetry::status::{fetch, render};

/// Status socket of the packaged systemd service. It is used if neither the settings nor the environment name
/// another one.
const PACKAGED_SOCKET: &str = "/run/holdfast/status.sock";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the status as JSON
    #[arg(long)]
    json: bool,
    /// Status socket of the daemon [default: STATUS_SOCKET of the settings]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

pub(super) fn run(
    arguments: &Arguments,
    env_file: Option<&Path>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let socket = match &arguments.socket {
        Some(socket) => socket.clone(),
        None => default_socket(env_file)?,
    };
    let document = fetch(&socket).map_err(|error| Failure::Other(error.to_string(), error.code()))?;
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        out.write_all(render(&document).as_bytes())?;
    }
    out.flush()?;
    Ok(document.state.code())
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
