//! The small crate: written, built once, and run once per mutant.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::schema::{Mutant, Schema};

/// In the order of the package's lib.rs.
const MODULES: [&str; 6] = ["wire", "bmp", "bgp", "route", "session", "record"];
/// Those whose code is made wrong: the cursor is below them, the log's format has golden files of its own.
const MUTATED: [&str; 4] = ["bmp", "bgp", "route", "session"];
/// A run takes a second or two; what takes this long goes round in a circle.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// What became of a mutant.
pub(crate) enum Outcome {
    Caught,
    Stuck,
    Survived,
}

pub(crate) struct Rig {
    folder: PathBuf,
}

impl Rig {
    /// Writes the crate, with every mutant in it.
    pub(crate) fn write(root: &Path) -> io::Result<(Self, Vec<Mutant>)> {
        let folder = root.join("target/mutants/crate");
        let mut schema = Schema::default();
        let mut lib = include_str!("switch.rs.txt").to_owned();
        for module in MODULES {
            lib.push_str(&format!("pub mod {module};\n"));
            for file in files(&root.join("src").join(module))? {
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
        put(&folder.join("src/lib.rs"), &lib)?;
        tests(root, &folder)?;
        // What tests look for beside the sources: golden files, and recordings that are no part of the repository.
        for (from, to) in [("tests/golden", "crate/tests/golden"), ("../shared", "shared")] {
            let to = root.join("target/mutants").join(to);
            if !to.is_symlink() {
                symlink(root.join(from), to)?;
            }
        }
        put(&folder.join("Cargo.toml"), &manifest(&fs::read_to_string(root.join("Cargo.toml"))?))?;
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok((Self { folder }, schema.mutants))
    }

    /// Builds it, and makes sure that without a mutant all tests pass.
    pub(crate) fn build(&self) -> io::Result<Vec<PathBuf>> {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--no-run", "--message-format=json"])
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

    /// Runs the tests with one mutant in force.
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
                if start.elapsed() > STUCK_AFTER {
                    child.kill()?;
                    child.wait()?;
                    return Ok(Outcome::Stuck);
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

/// All Rust files below a folder, in order.
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

/// Writes a file, but leaves alone one that says this already: its dependents need not be built again.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::read_to_string(path) {
        Ok(there) if there == text => Ok(()),
        _ => fs::write(path, text),
    }
}

/// The test programs that need no daemon and no database, and what they share.
const TESTS: [&str; 4] = ["common", "decode", "fuzz", "session"];

/// Copies the tests, but for the one that runs the daemon.
fn tests(root: &Path, folder: &Path) -> io::Result<()> {
    for part in TESTS {
        for file in files(&root.join("tests").join(part))? {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            let text = fs::read_to_string(&file)?;
            match name.as_str() {
                "tests/decode/hostile.rs" => {}
                "tests/decode/main.rs" => put(&folder.join(&name), &text.replace("mod hostile;\n", ""))?,
                _ => put(&folder.join(&name), &text)?,
            }
        }
    }
    Ok(())
}

/// With the same versions as the package, and optimised a little: it is built once and run often.
fn manifest(package: &str) -> String {
    let version = |name: &str| {
        let line = package.lines().find(|line| line.starts_with(&format!("{name} = ")));
        line.map(|line| format!("{line}\n")).unwrap_or_default()
    };
    let used: String =
        ["bincode", "serde", "serde_bytes", "serde_json", "time"].iter().map(|name| version(name)).collect();
    format!(
        "[package]\nname = \"holdfast\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n{used}\n\
         [dev-dependencies]\n{}\n[profile.test]\nopt-level = 1\ndebug = false\n\n[workspace]\n",
        version("proptest")
    )
}
