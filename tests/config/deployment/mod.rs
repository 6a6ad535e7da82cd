//! The files that run Holdfast in containers fit the program: settings, ports, paths and files. No container
//! engine is needed, and none is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use holdfast::config::{self, Config, Inputs};
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

mod compose;
mod image;
mod kubernetes;

/// A path of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// The documents of a YAML file, with merge keys (`<<`) applied.
fn documents(name: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(name)).unwrap().into_iter().map(merged).collect()
}

/// Applies the merge keys of a document. A key of the mapping itself takes precedence, then the first
/// mapping that is merged.
fn merged(node: Yaml) -> Yaml {
    match node {
        Yaml::Array(list) => Yaml::Array(list.into_iter().map(merged).collect()),
        Yaml::Hash(pairs) => {
            let mut result = Hash::new();
            let (merges, own): (Vec<_>, Vec<_>) =
                pairs.into_iter().partition(|(key, _)| key.as_str() == Some("<<"));
            for (key, value) in own {
                result.insert(key, merged(value));
            }
            for (_, value) in merges {
                let list = if let Yaml::Array(list) = value { list } else { vec![value] };
                for (key, value) in list.into_iter().flat_map(|one| merged(one).into_hash().unwrap()) {
                    result.entry(key).or_insert(value);
                }
            }
            Yaml::Hash(result)
        }
        scalar => scalar,
    }
}

/// The pairs of a mapping, as text.
fn pairs(node: &Yaml) -> BTreeMap<String, String> {
    let Some(pairs) = node.as_hash() else { return BTreeMap::new() };
    pairs.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), scalar(value))).collect()
}

fn scalar(value: &Yaml) -> String {
    match value {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(is_true) => is_true.to_string(),
        Yaml::Null => String::new(),
        other => panic!("not a scalar: {other:?}"),
    }
}

/// The texts of a list.
fn list(node: &Yaml) -> Vec<String> {
    node.as_vec().map(|list| list.iter().map(scalar).collect()).unwrap_or_default()
}

/// Loads settings as the daemon does. Files with secrets are replaced by one that exists.
fn load(settings: &BTreeMap<String, String>) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    crate::common::secrets::write_secret(&secret, "secret");
    let environment = settings.iter().map(|(name, value)| {
        let is_file = name.ends_with("_FILE") && !value.is_empty();
        (name.clone(), if is_file { secret.display().to_string() } else { value.clone() })
    });
    let inputs = Inputs { environment: environment.collect(), file: None };
    let (_, config) = config::load(&inputs).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    config
}

/// The variables of the daemon that the image sets.
fn image_environment() -> BTreeMap<String, String> {
    let file = text("deploy/Containerfile").replace("\\\n", " ");
    let lines = file.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(str::split_whitespace).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The variables of the image and `given`, all of which must be settings, except those of `NOT_SETTINGS`.
fn settings(given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = image_environment();
    all.extend(given.clone());
    for name in all.keys().filter(|name| !NOT_SETTINGS.contains(&name.as_str())) {
        assert!(config::find(name).is_some(), "{name} is not a setting");
    }
    all.retain(|name, _| config::find(name).is_some());
    all
}

/// The ids of the user and the group of the image.
const USER: i64 = 10_001;
/// Variables of the image for the C library.
const NOT_SETTINGS: [&str; 2] = ["MALLOC_MMAP_THRESHOLD_", "PATH"];
