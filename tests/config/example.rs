//! `.env.example` is generated from the table of settings, and is a valid `.env` file.

use std::path::Path;

use holdfast::config::{self, EnvFile, Inputs};

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")
}

/// With `UPDATE=1` the test writes the file.
#[test]
fn the_example_is_equal_to_the_table() {
    let expected = config::env_example();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(example(), &expected).unwrap();
    }
    let found = std::fs::read_to_string(example()).unwrap();
    assert!(found == expected, ".env.example differs from src/config/settings: run this test with UPDATE=1");
}

#[test]
fn the_example_with_every_line_in_effect_is_the_default_configuration() {
    let text = config::env_example();
    let is_value = |line: &&str| {
        let name = line.trim_start_matches('#').split('=').next().unwrap_or_default();
        config::find(name).is_some()
    };
    let lines: Vec<String> =
        text.lines().filter(is_value).map(|line| line.trim_start_matches('#').to_owned()).collect();
    assert_eq!(lines.len(), config::all().count());
    let file = EnvFile::parse(&example(), lines.join("\n").as_bytes()).unwrap();
    let (raw, _) = config::load(&Inputs { environment: Vec::new(), file: Some(file) }).unwrap();
    for setting in config::all() {
        let text = raw.get(setting).map_or("", |value| value.text.as_str());
        assert_eq!(text, setting.default, "{}", setting.name);
    }
}
