//! `docs/COMPATIBILITY.md` names the versions of this program, and files that exist.

use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The rows of the page's tables, each with its cells.
fn rows() -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(path("docs/COMPATIBILITY.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The row whose first cell begins with this text.
fn row(name: &str) -> Vec<String> {
    rows().into_iter().find(|row| row[0].starts_with(name)).unwrap_or_else(|| panic!("no row {name}"))
}

#[test]
fn the_versions_are_those_of_the_program() {
    assert_eq!(row("segments and frames")[1], holdfast::wal::format::VERSION.to_string());
    assert_eq!(row("payloads")[1], format!("0 to {}", holdfast::codec::VERSION));
}

/// The cells of the column "frozen by", and the golden file of each version.
#[test]
fn every_file_that_freezes_a_format_exists() {
    let mut count = 0;
    for row in rows().into_iter().filter(|row| row.len() == 4 && row[0] != "format" && row[0] != "interface")
    {
        let cells = [&row[2], &row[3]];
        let names = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
        for name in names.filter(|name| name.contains('/') && *name != "sled/" && !name.starts_with('/')) {
            assert!(path(name).is_file(), "{name} does not exist");
            count += 1;
        }
    }
    assert!(count >= 15, "{count} files were found");
    for version in 0..=holdfast::codec::VERSION {
        let name = format!("tests/golden/record-v{version}.bin");
        assert!(row("payloads")[3].contains(&name), "{name} is not on the page");
    }
}
