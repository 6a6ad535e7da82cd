//! `deploy/kubernetes/holdfast.yaml`.

use std::collections::BTreeMap;

use yaml_rust2::Yaml;

use super::{USER, documents, list, load, pairs, settings, text};

const FILE: &str = "deploy/kubernetes/holdfast.yaml";

/// The object of a kind and a name.
fn object(kind: &str, name: &str) -> Yaml {
    let mut found = documents(FILE).into_iter().filter(|document| {
        document["kind"].as_str() == Some(kind) && document["metadata"]["name"].as_str() == Some(name)
    });
    found.next().unwrap_or_else(|| panic!("{kind} {name} is missing"))
}

fn pod() -> Yaml {
    object("StatefulSet", "holdfast")["spec"]["template"]["spec"].clone()
}

fn container() -> Yaml {
    let pod = pod();
    let [container] = pod["containers"].as_vec().unwrap().as_slice() else { panic!("one container") };
    container.clone()
}

/// The environment of the container.
fn environment() -> BTreeMap<String, String> {
    let container = container();
    let from = container["envFrom"][0]["configMapRef"]["name"].as_str().unwrap();
    let mut environment = pairs(&object("ConfigMap", from)["data"]);
    for variable in container["env"].as_vec().unwrap() {
        let name = variable["name"].as_str().unwrap();
        assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"].as_str(), Some("metadata.name"));
        environment.insert(name.to_owned(), "holdfast-0".to_owned());
    }
    environment
}

/// The ports of the container by name.
fn ports() -> BTreeMap<String, i64> {
    let container = container();
    let ports = container["ports"].as_vec().unwrap().iter();
    ports
        .map(|port| (port["name"].as_str().unwrap().to_owned(), port["containerPort"].as_i64().unwrap()))
        .collect()
}

#[test]
fn the_daemon_accepts_the_settings_and_listens_on_the_ports() {
    let environment = environment();
    let config = load(&settings(&environment));
    assert_eq!(config.collector, "holdfast-0");
    let ports = ports();
    let [address] = config.listen.transport.listen.as_slice() else { panic!("one address") };
    assert_eq!(i64::from(address.port), ports["bmp"]);
    assert!(environment["HTTP_LISTEN"].ends_with(&format!(":{}", ports["http"])));
    let volume = &object("StatefulSet", "holdfast")["spec"]["volumeClaimTemplates"][0]["spec"];
    let size = volume["resources"]["requests"]["storage"].as_str().unwrap().strip_suffix("Gi").unwrap();
    let size = size.parse::<u64>().unwrap() << 30;
    assert!(config.wal.max_bytes < size / 100 * 90, "the log does not fit into the volume");
}

#[test]
fn what_the_daemon_writes_is_in_the_volume() {
    let config = load(&settings(&environment()));
    let (container, set) = (container(), object("StatefulSet", "holdfast"));
    let mounts: BTreeMap<&str, &str> = container["volumeMounts"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|mount| (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap()))
        .collect();
    let claim = set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"].as_str().unwrap();
    for path in [&config.state_dir, &config.wal.dir, &config.status_socket] {
        assert!(path.starts_with(mounts[claim]), "{} is not in the volume", path.display());
    }
    // The volume belongs to root and is writable by the group: the daemon would report it.
    assert_ne!(config.state_dir.to_str(), Some(mounts[claim]));
    let (pod, environment) = (pod(), environment());
    let secret = &pod["volumes"][0];
    assert!(environment["DB_PASSWORD_FILE"].starts_with(mounts[secret["name"].as_str().unwrap()]));
    assert_eq!(secret["secret"]["defaultMode"].as_i64(), Some(0o440));
}

#[test]
fn the_probes_are_paths_of_the_http_server() {
    let container = container();
    let openapi = text("src/http/openapi.json");
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let request = &container[probe]["httpGet"];
        assert_eq!(request["path"].as_str(), Some(path), "{probe}");
        assert_eq!(request["port"].as_str(), Some("http"), "{probe}");
        assert!(openapi.contains(&format!("\"{path}\": {{")), "{path} is not a path of the server");
    }
    // The time that the unit gives the daemon to start.
    let start = &container["startupProbe"];
    let seconds = start["periodSeconds"].as_i64().unwrap() * start["failureThreshold"].as_i64().unwrap();
    assert!(text("deploy/systemd/holdfast.service").contains(&format!("TimeoutStartSec={seconds}\n")));
}

#[test]
fn the_pod_has_no_rights_and_time_to_stop() {
    let (pod, container) = (pod(), container());
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"].as_bool(), Some(true));
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(security[key].as_i64(), Some(USER), "{key}");
    }
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(list(&security["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    let seconds = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    assert!(text("deploy/systemd/holdfast.service").contains(&format!("TimeoutStopSec={seconds}\n")));
    assert!(text("Cargo.toml").contains(&format!(
        "version = \"{}\"",
        container["image"].as_str().unwrap().strip_prefix("holdfast:").unwrap()
    )));
}

#[test]
fn routers_keep_their_addresses_and_reach_one_pod() {
    let service = object("Service", "holdfast-bmp");
    assert_eq!(service["spec"]["type"].as_str(), Some("LoadBalancer"));
    assert_eq!(service["spec"]["externalTrafficPolicy"].as_str(), Some("Local"));
    assert_eq!(
        service["spec"]["selector"]["statefulset.kubernetes.io/pod-name"].as_str(),
        Some("holdfast-0")
    );
    let set = object("StatefulSet", "holdfast");
    assert_eq!(set["spec"]["replicas"].as_i64(), Some(1));
    let headless = object("Service", set["spec"]["serviceName"].as_str().unwrap());
    assert_eq!(headless["spec"]["clusterIP"].as_str(), Some("None"));
    let ports = ports();
    for (service, port) in [(&service, "bmp"), (&headless, "http")] {
        let published = &service["spec"]["ports"][0];
        assert_eq!(published["targetPort"].as_str(), Some(port));
        assert_eq!(published["port"].as_i64(), Some(ports[port]));
    }
    let labels = pairs(&set["spec"]["template"]["metadata"]["labels"]);
    for selector in [&service["spec"]["selector"], &headless["spec"]["selector"]] {
        let mut selector = pairs(selector);
        selector.remove("statefulset.kubernetes.io/pod-name");
        assert_eq!(selector, labels);
    }
}
