//! `holdfast status`.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, Inputs};
use crate::telemetry::status::{Health, ask, table};

/// Where the packaged service has its socket; tried when nothing says otherwise.
const PACKAGED_SOCKET: &str = "/run/holdfast/status.sock";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the whole document as JSON
    #[arg(long)]
    json: bool,
    /// Socket of the daemon, in place of the configured one
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
        None => configured(env_file)?,
    };
    let document = match ask(&socket) {
        Ok(document) => document,
        Err(error) => return Err(Failure::Other(error.to_string(), Health::Down.code())),
    };
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        out.write_all(table(&document).as_bytes())?;
    }
    out.flush()?;
    Ok(document.state.code())
}

fn configured(env_file: Option<&Path>) -> Result<PathBuf, Failure> {
    let inputs = Inputs::from_process(env_file)?;
    let (typed, config) = config::load(&inputs)?;
    let said = ["STATUS_SOCKET", "STATE_DIR"].iter().any(|name| typed.by_name(name).is_some())
        || ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"]
            .iter()
            .any(|name| inputs.systemd_directory(name).is_some());
    let packaged = Path::new(PACKAGED_SOCKET);
    Ok(if !said && !config.status_socket.exists() && packaged.exists() {
        packaged.to_owned()
    } else {
        config.status_socket
    })
}
