//! `deploy/compose.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use holdfast::config;
use yaml_rust2::Yaml;

use super::{documents, list, load, pairs, path, scalar, settings, text};

const FILE: &str = "deploy/compose.yaml";

fn services() -> BTreeMap<String, Yaml> {
    let document = documents(FILE).remove(0);
    let services = document["services"].as_hash().unwrap().clone();
    services.into_iter().map(|(name, service)| (scalar(&name), service)).collect()
}

/// Replaces `${NAME:-default}` by the default, and `$$` by `$`; adds the names to `found`.
fn interpolated(text: &str, found: &mut BTreeSet<String>) -> String {
    let (mut rest, mut result) = (text, String::new());
    while let Some((before, after)) = rest.split_once('$') {
        result += before;
        rest = if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            after
        } else {
            let (inner, after) = after.strip_prefix('{').unwrap().split_once('}').unwrap();
            let (name, default) = inner.split_once(":-").expect("a variable has a default");
            found.insert(name.to_owned());
            result += default;
            after
        };
    }
    result + rest
}

fn environment(service: &Yaml) -> BTreeMap<String, String> {
    let values = pairs(&service["environment"]).into_iter();
    values.map(|(name, value)| (name, interpolated(&value, &mut BTreeSet::new()))).collect()
}

/// Volumes and mounted files of a service: source, target, and options.
fn mounts(service: &Yaml) -> Vec<[String; 3]> {
    let volumes = list(&service["volumes"]).into_iter();
    let parts = volumes.map(|volume| {
        let mut parts = volume.split(':').map(str::to_owned);
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    });
    parts.collect()
}

#[test]
fn the_programs_accept_their_settings() {
    let services = services();
    let config = load(&settings(&environment(&services["collector"])));
    assert_eq!(config.collector, "holdfast");
    assert!(config.http.is_some() && config.database.is_some());
    let [[_, volume, _]] = mounts(&services["collector"]).try_into().unwrap();
    for directory in [&config.state_dir, &config.wal.dir] {
        assert!(directory.starts_with(&volume), "{} is not in a volume", directory.display());
    }
    assert!(config.status_socket.starts_with(&volume), "the root file system is read-only");
    load(&settings(&environment(&services["migrate"])));
}

#[test]
fn every_variable_of_the_file_is_a_setting() {
    let mut names = BTreeSet::new();
    let file = text(FILE);
    for line in file.lines().filter(|line| !line.trim_start().starts_with('#')) {
        interpolated(line, &mut names);
    }
    assert!(!names.is_empty());
    for name in names {
        assert!(config::find(&name).is_some(), "{name} is not a setting");
    }
}

/// Relative paths of the file are relative to its folder.
#[test]
fn every_mounted_path_exists_and_cannot_be_changed_by_a_container() {
    let document = documents(FILE).remove(0);
    let volumes = pairs(&document["volumes"]);
    let mut used = BTreeSet::new();
    for (name, service) in services() {
        for [source, target, options] in mounts(&service) {
            if source.starts_with('.') {
                assert!(path("deploy").join(&source).exists(), "{name}: {source} does not exist");
                assert_eq!(options, "ro", "{name}: {target}");
            } else {
                assert!(volumes.contains_key(&source), "{name}: {source} is not a volume");
                used.insert(source);
            }
        }
    }
    assert_eq!(used, volumes.into_keys().collect());
}

#[test]
fn the_script_writes_every_secret() {
    let document = documents(FILE).remove(0);
    let secrets = document["secrets"].as_hash().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut script = std::process::Command::new(path("deploy/compose/secrets.sh"));
        assert!(script.arg(folder.path()).status().unwrap().success());
    };
    run();
    let content = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let mut contents = BTreeSet::new();
    for (name, secret) in secrets {
        let name = name.as_str().unwrap();
        assert_eq!(secret["file"].as_str().unwrap(), format!("./secrets/{name}"));
        contents.insert(content(name));
    }
    assert_eq!(contents.len(), secrets.len(), "each role has a password of its own");
    assert!(contents.iter().all(|secret| secret.trim().len() == 32));
    let owner = content("owner");
    run();
    assert_eq!(content("owner"), owner, "existing passwords are kept");
    for (name, service) in services() {
        let granted = list(&service["secrets"]);
        for value in
            environment(&service).into_values().chain(granted.iter().map(|it| format!("/run/secrets/{it}")))
        {
            if let Some((_, file)) = value.split_once("/run/secrets/") {
                let file = file.trim_end_matches('}');
                assert!(granted.iter().any(|it| it == file), "{name} has no secret {file}");
                assert!(secrets.contains_key(&Yaml::String(file.to_owned())), "{name}: {file}");
            }
        }
    }
}

#[test]
fn prometheus_finds_its_rules_and_scrapes_the_collector() {
    let services = services();
    let [[source, target, _], _] = mounts(&services["prometheus"]).try_into().unwrap();
    let folder = path("deploy").join(source);
    let command = list(&services["prometheus"]["command"]);
    let option = |name: &str| {
        let prefix = format!("--{name}=");
        command.iter().find_map(|word| word.strip_prefix(&prefix)).unwrap().to_owned()
    };
    assert_eq!(option("config.file"), format!("{target}/prometheus.yml"));
    let prometheus = documents("deploy/prometheus/prometheus.yml").remove(0);
    let rules = list(&prometheus["rule_files"]);
    assert_eq!(rules, ["rules.yml", "alerts.yml"]);
    for name in rules {
        assert!(folder.join(&name).exists(), "{name} is not mounted");
    }
    let collector = environment(&services["collector"]);
    let job = &prometheus["scrape_configs"][0];
    assert_eq!(list(&job["static_configs"][0]["targets"]), [collector["HTTP_LISTEN"].as_str()]);
    let grafana = environment(&services["grafana"]);
    assert_eq!(grafana["HOLDFAST_PROMETHEUS_URL"], format!("http://{}", option("web.listen-address")));
}

#[test]
fn grafana_finds_its_data_sources_and_dashboards() {
    let grafana = &services()["grafana"];
    let mounted: BTreeMap<String, String> =
        mounts(grafana).into_iter().map(|[source, target, _]| (target, source)).collect();
    for name in ["datasources", "dashboards"] {
        assert_eq!(
            mounted[&format!("/etc/grafana/provisioning/{name}")],
            format!("./grafana/provisioning/{name}")
        );
    }
    let providers = documents("deploy/grafana/provisioning/dashboards/holdfast.yml").remove(0);
    let dashboards = providers["providers"][0]["options"]["path"].as_str().unwrap();
    assert_eq!(mounted[dashboards], "./grafana/dashboards");
    let sources = text("deploy/grafana/provisioning/datasources/holdfast.yml");
    let given = environment(grafana);
    let names: Vec<&str> = sources.split("${").skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
    assert!(names.len() >= 5);
    for name in names {
        assert!(!given[name].is_empty(), "{name}");
    }
}

/// A database, its roles and its port are the same for all services.
#[test]
fn the_services_use_one_database() {
    let services = services();
    let (collector, database) = (environment(&services["collector"]), environment(&services["db"]));
    let published = list(&services["db"]["ports"]);
    let published = interpolated(&published[0], &mut BTreeSet::new());
    let address = format!("{}:{}", collector["DB_HOST"], collector["DB_PORT"]);
    assert_eq!(published, format!("{address}:5432"));
    assert_eq!(environment(&services["grafana"])["HOLDFAST_DB_ADDRESS"], address);
    assert_eq!(collector["DB_NAME"], database["POSTGRES_DB"]);
    let passwords = text("deploy/compose/passwords.sql");
    let (roles, migrate) = (text("deploy/roles.sql"), environment(&services["migrate"]));
    for (role, file) in [(&collector["DB_USER"], "writer"), (&migrate["DB_USER"], "owner")] {
        assert!(roles.contains(role.as_str()) && role.ends_with(file));
    }
    for role in ["owner", "writer", "reader"] {
        assert!(passwords.contains(&format!("ALTER ROLE holdfast_{role} PASSWORD :'{role}';")));
    }
    // In the order of their names, after the scripts of the image.
    let scripts = mounts(&services["db"]);
    let scripts: Vec<&str> = scripts
        .iter()
        .filter_map(|[_, target, _]| {
            Path::new(target).strip_prefix("/docker-entrypoint-initdb.d").ok()?.to_str()
        })
        .collect();
    assert_eq!(scripts, ["100_roles.sql", "101_passwords.sql"]);
}

#[test]
fn every_container_is_restricted_and_every_image_pinned() {
    for (name, service) in services() {
        assert_eq!(list(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(list(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(["cpus", "memory", "pids"].iter().all(|limit| !limits[*limit].is_badvalue()), "{name}");
        let (image, tag) = service["image"].as_str().unwrap().split_once(':').expect("an image has a tag");
        // A registry would have a dot in its name.
        assert!(!image.contains('.') && tag != "latest", "{name}: {image}:{tag}");
        let is_own = image == "holdfast";
        assert!(is_own || tag.contains(|it: char| it.is_ascii_digit()), "{name}: {tag}");
        // The image of Holdfast has a user and a health check of its own.
        assert!(is_own || !service["user"].as_str().unwrap().starts_with("0"), "{name} runs as root");
        assert!(is_own || !list(&service["healthcheck"]["test"]).is_empty(), "{name}");
    }
}

#[test]
fn the_daemon_has_time_to_stop() {
    let services = services();
    let seconds = services["collector"]["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
    assert!(text("deploy/systemd/holdfast.service").contains(&format!("TimeoutStopSec={seconds}\n")));
}
