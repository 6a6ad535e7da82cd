//! A real PgBouncer before the server of a test.

use crate::common::db::Database;
use crate::common::process;
use holdfast::sink::{SslMode, Target, TlsFiles};

/// Releases of Debian, whose PgBouncer is 1.18 (without prepared statements in transaction mode), 1.24 and
/// 1.26.
pub const RELEASES: [&str; 3] = ["bookworm", "trixie", "sid"];

/// A PgBouncer, which ends with this value.
pub struct PgBouncer {
    name: String,
    pub port: u16,
}

fn run(arguments: &[&str]) -> Result<String, String> {
    let output = process::testbed("pgbouncer").args(arguments).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl PgBouncer {
    /// Starts a PgBouncer before the server of `database`; `None` after a printed SKIPPED.
    pub fn start(database: &Database, test: &str, release: &str, mode: &str) -> Option<Self> {
        let name = format!("{test}-{release}-{mode}-{}", std::process::id());
        let url = database.url();
        match run(&["up", "--name", &name, "--server", &url, "--mode", mode, "--release", release]) {
            Ok(url) => {
                let port = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
                Some(Self { name, port })
            }
            Err(reason) => {
                println!("SKIPPED: PgBouncer of Debian {release}: {reason}");
                let required = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
                assert!(!required, "REQUIRE_ALL=1 is set, and there is no PgBouncer");
                None
            }
        }
    }

    /// Changes `pool_mode` while clients are connected.
    pub fn set_mode(&self, mode: &str) {
        run(&["mode", "--name", &self.name, "--mode", mode]).unwrap();
    }

    /// The database of the test, through this PgBouncer.
    pub fn config(&self, database: &Database) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres");
        config.dbname(database.config.get_dbname().unwrap());
        config
    }

    /// The same as a target of the delivery.
    pub fn target(&self, database: &Database) -> Target {
        Target::new(self.config(database), SslMode::Disable, &TlsFiles::default()).unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(run(&["destroy", "--name", &self.name]));
    }
}
