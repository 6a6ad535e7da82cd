//! Dependencies between modules, sizes of files and functions, file descriptions, and forbidden contents.
//!
//! The tables below are the design: adding a line is a design decision.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::source::{self, Source, closing, files, product, words};

/// Maximum number of product lines in one file.
const FILE_LINES_MAX: usize = 400;
/// Maximum number of lines of code in one function, as in .clippy.toml.
const FUNCTION_LINES_MAX: usize = 70;

/// Module, modules it may depend on, external crates it may use; in the order of lib.rs, which is that of the
/// data flow.
const MODULES: [(&str, &[&str], &[&str]); 22] = [
    // The leaves: every module may use them, and they use none.
    ("num", &[], &[]),
    ("hex", &[], &[]),
    ("log_id", &[], &["uuid"]),
    ("backoff", &[], &["uuid"]),
    ("wire", &[], &["thiserror"]),
    ("bmp", &["wire"], &["thiserror"]),
    ("bgp", &["wire", "route"], &["thiserror"]),
    ("route", &[], &["serde", "siphasher", "thiserror"]),
    ("session", &["bmp", "bgp", "route"], &["foldhash", "thiserror"]),
    ("codec", &["route"], &["bincode", "serde", "serde_bytes", "serde_json", "thiserror", "time"]),
    ("wal", &[], &["crc32fast", "lz4_flex", "rustix", "thiserror"]),
    ("committer", &["wal"], &["thiserror", "tokio", "tracing"]),
    ("state", &["route"], &["bincode", "serde", "sled", "thiserror"]),
    // The server side of TLS, which the listener and the HTTP server share.
    ("tls", &[], &["rustls", "thiserror", "tokio", "tokio_rustls", "tracing", "webpki"]),
    (
        "listener",
        // `state` for the router's earlier peers; `telemetry` for its clock.
        &["bmp", "session", "route", "codec", "committer", "state", "telemetry", "tls"],
        &["libc", "rustix", "rustls", "socket2", "thiserror", "tokio", "tokio_rustls", "tracing", "webpki"],
    ),
    (
        "sink",
        // `codec` because a rejected record is stored in the encoding of the log.
        &["route", "codec"],
        &[
            "bytes",
            "crc32fast",
            "deadpool_postgres",
            "futures_util",
            "rustls",
            "rustls_native_certs",
            "serde_json",
            "siphasher",
            "strsim",
            "thiserror",
            "tokio",
            "tokio_postgres",
            "tokio_postgres_rustls",
            "tracing",
            "uuid",
        ],
    ),
    (
        "forwarder",
        &["route", "codec", "wal", "committer", "sink"],
        &["crc32fast", "siphasher", "thiserror", "tokio", "tracing", "uuid"],
    ),
    // A value is validated by the crate or module that uses it: a DSN by sentry, a URL by tokio_postgres, a
    // TLS mode by the sink, an override by the session.
    (
        "config",
        &["route", "session", "sink", "tls"],
        &["dotenvy", "sentry", "strsim", "thiserror", "tokio_postgres", "tracing"],
    ),
    (
        "telemetry",
        &["config", "route"],
        &[
            "sentry",
            "serde",
            "serde_json",
            "thiserror",
            "time",
            "tokio",
            "tracing",
            "tracing_subscriber",
            "ureq",
        ],
    ),
    (
        "http",
        // `route` for timestamps and the OPENs of a peer, `sink` for the queries of the look-ups.
        &["config", "route", "sink", "telemetry", "tls"],
        &[
            "crc32fast",
            "http_body_util",
            "hyper",
            "hyper_util",
            "maud",
            "prometheus_client",
            "rustix",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
        ],
    ),
    // What the three programs share; each has its own definition of its command line.
    ("manual", &[], &["clap", "clap_complete", "clap_mangen"]),
    ("service", ALL, ALL),
];

/// Leaf modules that every module may use.
const LEAVES: [&str; 4] = ["num", "hex", "log_id", "backoff"];

/// Allows every module and crate, for the module that connects the others.
const ALL: &[&str] = &["*"];

/// Files that may be longer: tables of constants, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// The only file with unsafe code: one setsockopt for which there is no safe wrapper.
const UNSAFE_FILE: &str = "src/listener/transport/tcp_md5.rs";

/// The allowed files and folders at the top level. New files belong into one of the folders.
const TOP_LEVEL: [&str; 22] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".editorconfig",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "deploy",
    "docs",
    "migrations",
    "src",
    "tests",
    "tools",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with all complaints if there are any.
fn check(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The sources of each module in src, by its name.
fn modules() -> Vec<(String, Source)> {
    let module = |source: &Source| {
        let inner = source.path.strip_prefix("src/")?;
        let name = inner.split('/').next()?;
        Some(name.strip_suffix(".rs").unwrap_or(name).to_owned())
    };
    product(&root(), "src").into_iter().filter_map(|source| Some((module(&source)?, source))).collect()
}

/// The crates that Cargo.toml names, as they are written in code.
fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| !line.starts_with("[dependencies]")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(" =")?.0.replace('-', "_"))).collect()
}

/// First names of all paths in the code: `a` in `a::b`, but not in `c::a::b`.
fn path_heads(code: &str) -> BTreeSet<&str> {
    let words: Vec<_> = words(code).map(|(_, word)| word).collect();
    let heads = words.iter().enumerate().filter(|(place, word)| {
        let before = place.checked_sub(1).map_or("", |before| words[before]);
        let starts = word.starts_with(|sign: char| sign.is_alphabetic());
        starts && before != "::" && words.get(place + 1) == Some(&"::")
    });
    // `use serde;` is a use without a second path segment.
    let used = words.windows(3).filter(|w| w[0] == "use" && w[2] == ";").map(|w| w[1]);
    heads.map(|(_, word)| *word).chain(used).collect()
}

/// Modules of this crate that the code names: `x` in `crate::x`, `crate::{x, …}`.
fn known_modules(code: &str) -> BTreeSet<&str> {
    let words: Vec<_> = words(code).collect();
    let mut known = BTreeSet::new();
    for place in 0..words.len().saturating_sub(2) {
        if words[place].1 != "crate" || words[place + 1].1 != "::" {
            continue;
        }
        let (offset, word) = words[place + 2];
        if word != "{" {
            known.insert(word);
            continue;
        }
        let group = &code[offset + 1..closing(code, offset) - 1];
        let mut depth = 0;
        let mut first = true;
        for (_, word) in source::words(group) {
            match word {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," if depth == 0 => first = true,
                _ if depth == 0 && first => {
                    known.insert(word);
                    first = false;
                }
                _ => {}
            }
        }
    }
    known
}

#[test]
fn modules_depend_only_on_allowed_modules() {
    let mut complaints = Vec::new();
    for (module, source) in modules() {
        let Some((_, may, _)) = MODULES.iter().find(|(name, ..)| *name == module) else { continue };
        let code = source.product_code();
        for known in known_modules(&code) {
            if *may != ALL && known != module && !may.contains(&known) && !LEAVES.contains(&known) {
                complaints.push(format!("{}: {module} must not know {known}", source.path));
            }
        }
        // `super` may reach the module's own root but not leave it, which would hide a dependency.
        let depth = source.path.matches('/').count() - usize::from(source.path.ends_with("/mod.rs"));
        let out = ["super::"].repeat(depth).concat();
        let code: String = words(&code).map(|(_, word)| word).collect();
        if code.contains(&out) {
            complaints.push(format!("{}: say `crate::` for what is outside {module}", source.path));
        }
    }
    check(complaints);
}

#[test]
fn modules_use_only_allowed_crates() {
    let dependencies = dependencies();
    assert!(dependencies.contains("tokio_postgres"), "Cargo.toml was not understood");
    let mut complaints = Vec::new();
    for (module, source) in modules() {
        let Some((.., may)) = MODULES.iter().find(|(name, ..)| *name == module) else { continue };
        let code = source.product_code();
        for used in path_heads(&code) {
            if *may != ALL && dependencies.contains(used) && !may.contains(&used) {
                complaints.push(format!("{}: {module} must not use the crate {used}", source.path));
            }
        }
    }
    check(complaints);
}

#[test]
fn the_order_of_modules_is_the_order_of_the_data() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<_> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, MODULES.map(|(name, ..)| name));
}

#[test]
fn every_file_begins_with_a_description() {
    let sources = ["src", "tools", "tests"].iter().flat_map(|folder| files(&root().join(folder), ".rs"));
    let heads = sources.filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "));
    check(heads.map(|path| format!("{}: no `//!` head", path.display())).collect());
}

#[test]
fn files_and_functions_are_short() {
    let mut complaints = Vec::new();
    for source in product(&root(), "src").into_iter().chain(product(&root(), "tools")) {
        let lines = source.product_lines().count();
        if lines > FILE_LINES_MAX && !LONG_FILES.iter().any(|(path, _)| *path == source.path) {
            complaints.push(format!("{}: {lines} product lines, at most {FILE_LINES_MAX}", source.path));
        }
        let code = source.product_code();
        for (name, lines) in functions(&code) {
            if lines > FUNCTION_LINES_MAX {
                complaints.push(format!(
                    "{}: fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}",
                    source.path
                ));
            }
        }
    }
    check(complaints);
}

/// Name and lines of code of every function with a body.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let words: Vec<_> = words(code).collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        let [(start, "fn"), (_, name)] = pair else { continue };
        let body = code[*start..].find(['{', ';']).map_or(code.len(), |offset| start + offset);
        if code[body..].starts_with('{') {
            let inside = &code[body + 1..closing(code, body) - 1];
            found.push((*name, inside.lines().filter(|line| !line.trim().is_empty()).count()));
        }
    }
    found
}

#[test]
fn tests_only_add_modules() {
    // A `cfg(test)` on anything but a module would make the tested code differ from the shipped code.
    let mut complaints = Vec::new();
    for source in product(&root(), "src").into_iter().chain(product(&root(), "tools")) {
        let words: Vec<_> = words(&source.code).map(|(_, word)| word).collect();
        for place in 0..words.len() {
            let tail = &words[place..];
            if tail.starts_with(&["cfg", "(", "test", ")", "]"]) && tail.get(5) != Some(&"mod") {
                complaints.push(format!("{}: cfg(test) on something that is no module", source.path));
            } else if tail.starts_with(&["cfg", "!", "(", "test"])
                || tail.starts_with(&["cfg", "(", "not", "(", "test"])
            {
                complaints.push(format!("{}: the product must not ask whether it is tested", source.path));
            }
        }
    }
    check(complaints);
}

#[test]
fn nothing_is_unsafe_ignored_or_left_over() {
    let mut complaints = Vec::new();
    for folder in ["src", "tools", "tests"] {
        for path in files(&root().join(folder), ".rs") {
            let source = Source::read(&root(), &path);
            let words: Vec<_> = words(&source.code).map(|(_, word)| word).collect();
            for place in 0..words.len() {
                let what = match words[place..] {
                    ["unsafe", next, ..] if next != ")" && source.path != UNSAFE_FILE => "unsafe code",
                    ["#", "[", "ignore", ..] => "an ignored test never fails",
                    ["dbg", "!", ..] => "dbg!",
                    ["todo" | "unimplemented", "!", ..] => "a stub",
                    _ => continue,
                };
                complaints.push(format!("{}: {what}", source.path));
            }
        }
    }
    check(complaints);
}

/// Every text file of the repository, with its text.
fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for name in TOP_LEVEL.iter().filter(|name| **name != "Cargo.lock") {
        let path = root().join(name);
        let below = if path.is_dir() { files(&path, "") } else { vec![path] };
        for path in below {
            // Files that are not UTF-8, such as recorded streams, are skipped.
            if let Ok(text) = fs::read_to_string(&path) {
                found.push((path.strip_prefix(root()).unwrap().display().to_string(), text));
            }
        }
    }
    found
}

#[test]
fn comments_postpone_nothing() {
    // Concatenated, so that this file does not contain the forbidden text.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["X", "XX"].concat()];
    let mut complaints = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
            if words.any(|word| marks.iter().any(|mark| mark == word)) && !line.contains("docs/ROADMAP.md") {
                complaints.push(format!("{path}:{}: belongs into docs/ROADMAP.md", number + 1));
            }
        }
    }
    check(complaints);
}

#[test]
fn no_package_archive_is_hard_coded() {
    // The archive comes from the machine's own settings, because mirrors differ between machines.
    let hosts = [
        ["debian", "org"],
        ["ubuntu", "com"],
        ["crates", "io"],
        ["pypi", "org"],
        ["pythonhosted", "org"],
        ["npmjs", "org"],
        ["npmjs", "com"],
        ["golang", "org"],
        ["docker", "io"],
        ["ghcr", "io"],
        ["quay", "io"],
        ["packagecloud", "io"],
    ];
    let hosts = hosts.map(|parts| parts.join("."));
    let mut complaints = Vec::new();
    for (path, text) in texts() {
        for host in hosts.iter().filter(|host| text.contains(*host)) {
            complaints.push(format!("{path}: names the host {host}"));
        }
    }
    check(complaints);
}

#[test]
fn the_top_level_has_nothing_new() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: Vec<_> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let entries =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let new = entries.filter(|name| {
        name != ".git" && !TOP_LEVEL.contains(&name.as_str()) && !ignored.contains(&name.as_str())
    });
    check(new.map(|name| format!("{name}: not at the top level")).collect());
}

#[test]
fn the_rules_detect_violations() {
    let code = "use crate::{wire::Cursor, bmp};\n\
        fn f() { crate::wal::open(); a::crate_::b; tokio::spawn(serde::x) }\nuse sled;";
    assert_eq!(known_modules(code).into_iter().collect::<Vec<_>>(), ["bmp", "wal", "wire"]);
    let heads = path_heads(code);
    assert!(["tokio", "serde", "sled"].iter().all(|head| heads.contains(head)), "{heads:?}");
    assert_eq!(functions("fn a();\nfn b() {\n  1\n\n}\n"), [("b", 1)]);
}
