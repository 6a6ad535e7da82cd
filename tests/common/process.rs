//! Child processes whose result does not depend on the environment of the tests.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Environment variables that a child process inherits: search paths, temporary folders, proxies, and the
/// choice of a database.
const INHERITED: [&str; 17] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HOLDFAST_CACHE",
    "DATABASE_URL",
    "HOLDFAST_POSTGRES",
    "DOCKER_HOST",
];

/// A command with the inherited variables only, in the C locale and UTC.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(inherited).env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// A command for a script of tools/testbed.
pub fn testbed(script: &str) -> Command {
    command(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/testbed").join(script))
}
