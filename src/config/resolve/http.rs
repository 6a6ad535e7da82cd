//! The HTTP server: its address, and who may use it.

use std::net::IpAddr;

use super::super::parse::{self, Secret};
use super::reader::Reader;
use super::transport::Tls;
use crate::config::Problem;
use crate::tls::secret_file;

/// Port of the HTTP server if `HTTP_LISTEN` has none.
const PORT: u16 = 11_080;

/// HTTP server.
#[derive(Clone, Debug)]
pub struct Http {
    /// IP address or host name to listen on.
    pub host: String,
    /// TCP port; with 0 the kernel chooses one.
    pub port: u16,
    /// Files of TLS; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Token that requests must have; `None` to accept all.
    pub token: Option<Secret>,
    /// Number of peers up to which there are metrics of single peers.
    pub metrics_peers_max: usize,
}

/// The HTTP server; `None` if it is off.
pub(super) fn resolve(read: &mut Reader<'_>) -> Option<Http> {
    // TLS alone proves the identity of the server; with authorities of clients also theirs.
    let has_readers = ["HTTP_TOKEN", "HTTP_TOKEN_FILE", "HTTP_TLS_CLIENT_CA"]
        .iter()
        .any(|name| read.optional_text(name).is_some());
    let token = token(read);
    let tls = tls(read);
    let metrics_peers_max = read.integer("HTTP_METRICS_PEERS_MAX");
    let is_public = read.choice("HTTP_PUBLIC") == "yes";
    let text = read.optional_text("HTTP_LISTEN")?;
    let Some(address) = parse::host_and_port(text) else {
        let message =
            format!("invalid value \"{text}\"; expected an IP address or a host name, perhaps with a port");
        read.problem("HTTP_LISTEN", message);
        return None;
    };
    if !is_public && !has_readers && !is_loopback(&address.host) {
        let message = format!(
            "{text} can be reached from outside this machine; set HTTP_TOKEN or HTTP_TOKEN_FILE, require \
             client certificates with HTTP_TLS_CLIENT_CA, set HTTP_PUBLIC=yes if everybody may read the \
             status, or listen on 127.0.0.1"
        );
        read.problem("HTTP_LISTEN", message);
    }
    Some(Http { host: address.host, port: address.port.unwrap_or(PORT), tls, token, metrics_peers_max })
}

/// Warns if the token can be read on its way.
pub(super) fn warning(read: &Reader<'_>, config: &Http) -> Option<Problem> {
    let Http { host, port, tls: None, token: Some(_), .. } = config else { return None };
    let message = format!(
        "{host} port {port} can be reached from outside this machine, and the token is sent in clear text: \
         set HTTP_TLS_CERT and HTTP_TLS_KEY, or listen on 127.0.0.1 behind a TLS proxy"
    );
    (!is_loopback(host)).then(|| read.raw.problem("HTTP_LISTEN", message))
}

/// The files of TLS; `None` if they are not set.
fn tls(read: &mut Reader<'_>) -> Option<Tls> {
    let [certificate, key, client_ca] =
        ["HTTP_TLS_CERT", "HTTP_TLS_KEY", "HTTP_TLS_CLIENT_CA"].map(|name| read.path(name));
    let needed = [("HTTP_TLS_CERT", certificate.is_some()), ("HTTP_TLS_KEY", key.is_some())];
    let set = needed.into_iter().chain([("HTTP_TLS_CLIENT_CA", client_ca.is_some())]);
    let first =
        set.filter(|(_, is_set)| *is_set).map(|(name, _)| read.raw.written_name(name).to_owned()).next();
    if let Some(first) = first {
        for (name, _) in needed.into_iter().filter(|(_, is_set)| !is_set) {
            read.problem(name, format!("must be set, because {first} is set"));
        }
    }
    Some(Tls { certificate: certificate?, key: key?, client_ca })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The token, from the environment or from a file.
fn token(read: &mut Reader<'_>) -> Option<Secret> {
    let text = read.optional_text("HTTP_TOKEN").map(str::to_owned);
    let Some(path) = read.path("HTTP_TOKEN_FILE") else { return text.map(Secret::new) };
    if text.is_some() {
        let token = read.raw.written_name("HTTP_TOKEN");
        read.problem("HTTP_TOKEN_FILE", format!("conflicts with {token}: the token is set twice"));
        return None;
    }
    match secret_file::first_line(&path) {
        Ok(token) => Some(Secret::new(token.trim().to_owned())),
        Err(error) => {
            read.problem("HTTP_TOKEN_FILE", error.to_string());
            None
        }
    }
}
