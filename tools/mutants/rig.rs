//! The crate that contains all mutants: generated and built once, its tests run once per mutant.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::schema::{Mutant, Schema};

/// Modules in the crate, in the order of the package's lib.rs.
const MODULES: [&str; 8] = ["num", "hex", "wire", "bmp", "bgp", "route", "session", "codec"];
/// Modules whose code is mutated. The others are leaves, or have golden files of their own (`codec`).
const MUTATED: [&str; 4] = ["bmp", "bgp", "route", "session"];
/// A run takes a second or two; a mutant whose tests take this long is in an endless loop.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Result of running the tests with one mutant.
pub(crate) enum Outcome {
    Caught,
    TimedOut,
    Survived,
}

pub(crate) struct Rig {
    folder: PathBuf,
}

impl Rig {
    /// Writes the crate with all mutants.
    pub(crate) fn write(root: &Path) -> io::Result<(Self, Vec<Mutant>)> {
        let folder = root.join("target/mutants/crate");
        let mut schema = Schema::default();
        let mut lib = include_str!("switch.rs.txt").to_owned();
        for module in MODULES {
            lib.push_str(&format!("pub mod {module};\n"));
            for file in module_files(root, module)? {
                let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
                let mut text = fs::read_to_string(&file)?;
                if MUTATED.contains(&module) {
                    text = schema
                        .apply(&name, &text)
                        .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
                }
                put(&folder.join(&name), &text)?;
            }
        }
        // A parser with a fuzz target of its own, which uses nothing of its parent modules.
        lib.push_str("pub mod listener {\n    pub mod proxy;\n}\n");
        let proxy = fs::read_to_string(root.join("src/listener/transport/proxy.rs"))?;
        put(&folder.join("src/listener/proxy.rs"), &proxy)?;
        put(&folder.join("src/lib.rs"), &lib)?;
        tests(root, &folder)?;
        // Input files of the tests: SQL, golden files, and recordings that are not part of the repository.
        let inputs = [
            ("migrations", "crate/migrations"),
            ("tests/golden", "crate/tests/golden"),
            ("../shared", "shared"),
        ];
        for (from, to) in inputs {
            let to = root.join("target/mutants").join(to);
            if !to.is_symlink() {
                symlink(root.join(from), to)?;
            }
        }
        put(&folder.join("Cargo.toml"), &manifest(&fs::read_to_string(root.join("Cargo.toml"))?))?;
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok((Self { folder }, schema.mutants))
    }

    /// Builds the crate and checks that all tests pass without a mutant.
    pub(crate) fn build(&self) -> io::Result<Vec<PathBuf>> {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
            .current_dir(&self.folder)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other("the crate with the mutants does not build"));
        }
        let line = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).ok();
        let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(line);
        let binaries: Vec<PathBuf> =
            messages.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from)).collect();
        let start = Instant::now();
        match self.try_mutant(&binaries, 0)? {
            Outcome::Survived => println!("the tests take {:.1} s", start.elapsed().as_secs_f64()),
            _ => return Err(io::Error::other("the tests fail without any mutant")),
        }
        Ok(binaries)
    }

    /// Runs the tests with one active mutant; 0 for none.
    pub(crate) fn try_mutant(&self, binaries: &[PathBuf], number: u32) -> io::Result<Outcome> {
        for binary in binaries {
            let mut child = Command::new(binary)
                .current_dir(&self.folder)
                .env("MUTANT", number.to_string())
                .env("FUZZ_ITERATIONS", "300")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            let start = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                if start.elapsed() > TIME_LIMIT {
                    child.kill()?;
                    child.wait()?;
                    return Ok(Outcome::TimedOut);
                }
                thread::sleep(Duration::from_millis(5));
            };
            if !status.success() {
                return Ok(Outcome::Caught);
            }
        }
        Ok(Outcome::Survived)
    }
}

/// The sources of a module: one file, or a folder.
fn module_files(root: &Path, module: &str) -> io::Result<Vec<PathBuf>> {
    let file = root.join("src").join(format!("{module}.rs"));
    if file.exists() { Ok(vec![file]) } else { files(&root.join("src").join(module)) }
}

/// All Rust files below a folder, sorted.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Writes a file unless it already has this content, so that cargo rebuilds only what has changed.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::read_to_string(path) {
        Ok(there) if there == text => Ok(()),
        _ => fs::write(path, text),
    }
}

/// Test programs that need neither daemon nor database, and their shared modules.
const TESTS: [&str; 4] = ["common", "decode", "fuzz", "session"];

/// Modules of tests/common that need a module outside the crate, a daemon or a database.
const LEFT_OUT: [&str; 7] = ["daemon", "db", "logs", "proxy", "simdisk", "source", "store"];

/// Copies the tests, except those that run the daemon or use modules outside the crate.
fn tests(root: &Path, folder: &Path) -> io::Result<()> {
    for part in TESTS {
        for file in files(&root.join("tests").join(part))? {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            let mut text = fs::read_to_string(&file)?;
            match name.as_str() {
                "tests/decode/hostile.rs" => continue,
                "tests/decode/main.rs" => text = text.replace("mod hostile;\n", ""),
                "tests/common/mod.rs" => {
                    for module in LEFT_OUT {
                        text = text.replace(&format!("#[cfg(test)]\npub mod {module};\n"), "");
                    }
                }
                _ if LEFT_OUT.iter().any(|module| name == format!("tests/common/{module}.rs")) => continue,
                _ => {}
            }
            put(&folder.join(&name), &text)?;
        }
    }
    Ok(())
}

/// The manifest: dependency versions of the package, and light optimisation, since it is built once and run
/// often.
fn manifest(package: &str) -> String {
    let version = |name: &str| {
        let line = package.lines().find(|line| line.starts_with(&format!("{name} = ")));
        line.map(|line| format!("{line}\n")).unwrap_or_default()
    };
    let used: String =
        ["bincode", "foldhash", "serde", "serde_bytes", "serde_json", "siphasher", "thiserror", "time"]
            .iter()
            .map(|name| version(name))
            .collect();
    let tests = version("proptest");
    format!(
        r#"[package]
name = "holdfast"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
{used}
[dev-dependencies]
{tests}
[profile.test]
opt-level = 1
debug = false

[workspace]
"#
    )
}
