//! The settings of the transports: listening addresses, TLS, proxies, TCP-MD5, and routers to connect to.

use std::path::PathBuf;
use std::time::Duration;

use super::super::parse::{self, HostPort};
use super::reader::Reader;
use crate::route::Prefix;

/// Scheme of a listening address with TLS.
const TLS_SCHEME: &str = "tls://";

/// Addresses, TLS, proxies, TCP-MD5, and routers to connect to.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// Addresses on which connections are accepted; at least one.
    pub listen: Vec<Address>,
    /// Files of TLS; `None` if no listening address is TLS.
    pub tls: Option<Tls>,
    /// The name in a router's certificate is the router's name.
    pub certificate_names: bool,
    /// Time limit for a TLS handshake, and for a PROXY header.
    pub handshake_timeout: Duration,
    /// Size of the receive buffer of a socket in bytes; `None` for that of the kernel.
    pub receive_buffer: Option<usize>,
    /// Sources whose connections must begin with a PROXY header.
    pub proxies: Vec<Prefix>,
    /// Files with the keys of TCP-MD5, by the prefix of the routers.
    pub md5: Vec<(Prefix, PathBuf)>,
    /// Routers to which the collector connects.
    pub remotes: Vec<Address>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// IP address or host name.
    pub host: String,
    /// TCP port; to listen on 0 means a port that the kernel chooses.
    pub port: u16,
    /// True if connections are TLS.
    pub is_tls: bool,
}

/// The files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities of the clients' certificates; `None` if clients need none.
    pub client_ca: Option<PathBuf>,
}

pub(super) fn resolve(read: &mut Reader<'_>) -> Transport {
    let listen = listen(read);
    let receive_buffer = read.optional_text("BMP_RECEIVE_BUFFER").is_some();
    Transport {
        tls: tls(read, &listen),
        certificate_names: read.choice("BMP_TLS_IDENTITY") == "certificate",
        handshake_timeout: read.seconds("BMP_HANDSHAKE_TIMEOUT_S"),
        receive_buffer: receive_buffer
            .then(|| read.bytes("BMP_RECEIVE_BUFFER"))
            .and_then(|bytes| usize::try_from(bytes).ok()),
        proxies: read.parsed("BMP_PROXY_FROM", parse::prefixes),
        md5: read.parsed("BMP_MD5", md5),
        remotes: read.parsed("BMP_CONNECT", |text| addresses(text, false)),
        listen,
    }
}

/// The listening addresses: `BMP_LISTEN`, or the host and the port.
fn listen(read: &mut Reader<'_>) -> Vec<Address> {
    let (host, port) = read.host_and_port("BMP_LISTEN_HOST", "BMP_LISTEN_PORT");
    if read.optional_text("BMP_LISTEN").is_none() {
        return vec![Address { host, port, is_tls: false }];
    }
    let list = read.raw.written_name("BMP_LISTEN");
    for name in ["BMP_LISTEN_HOST", "BMP_LISTEN_PORT"] {
        if read.optional_text(name).is_some() {
            let message = format!("is set together with {list}, which has addresses and ports: unset one");
            read.problem(name, message);
        }
    }
    read.parsed("BMP_LISTEN", |text| {
        let listed = addresses(text, true)?;
        if listed.is_empty() { Err("no address".to_owned()) } else { Ok(listed) }
    })
}

fn tls(read: &mut Reader<'_>, listen: &[Address]) -> Option<Tls> {
    let is_tls = listen.iter().any(|address| address.is_tls);
    let (certificate, key) = (read.path("BMP_TLS_CERT"), read.path("BMP_TLS_KEY"));
    let client_ca = read.path("BMP_TLS_CLIENT_CA");
    if is_tls {
        for (name, path) in [("BMP_TLS_CERT", &certificate), ("BMP_TLS_KEY", &key)] {
            if path.is_none() {
                let list = read.raw.written_name("BMP_LISTEN");
                read.problem(name, format!("must be set, because {list} has an address with tls://"));
            }
        }
    } else {
        for (name, path) in
            [("BMP_TLS_CERT", &certificate), ("BMP_TLS_KEY", &key), ("BMP_TLS_CLIENT_CA", &client_ca)]
        {
            if path.is_some() {
                let message = "is set, but no address is TLS: set BMP_LISTEN, such as \
                               BMP_LISTEN=0.0.0.0:11019,tls://0.0.0.0:11020";
                read.problem(name, message);
            }
        }
    }
    if read.choice("BMP_TLS_IDENTITY") == "certificate" && client_ca.is_none() {
        let message = "certificate needs BMP_TLS_CLIENT_CA: without it routers present no certificate";
        read.problem("BMP_TLS_IDENTITY", message);
    }
    Some(Tls { certificate: certificate?, key: key?, client_ca })
}

/// Parses comma-separated addresses `host:port`, with `may_be_tls` also `tls://host:port`. Each may occur
/// once.
fn addresses(text: &str, may_be_tls: bool) -> Result<Vec<Address>, String> {
    let mut found: Vec<Address> = Vec::new();
    for item in parse::items(text) {
        let (is_tls, rest) = match item.strip_prefix(TLS_SCHEME).filter(|_| may_be_tls) {
            Some(rest) => (true, rest),
            None => (false, item),
        };
        let parsed = parse::host_and_port(rest);
        let Some(HostPort { host, port: Some(port) }) = parsed else {
            return Err(format!("invalid address \"{item}\""));
        };
        // To listen on port 0 twice means two ports.
        if port != 0 && found.iter().any(|other| (&other.host, other.port) == (&host, port)) {
            return Err(format!("\"{rest}\" is listed twice"));
        }
        if port == 0 && !may_be_tls {
            return Err(format!("invalid port in \"{item}\""));
        }
        found.push(Address { host, port, is_tls });
    }
    Ok(found)
}

/// Parses comma-separated `prefix=file` pairs. Each prefix may occur once.
fn md5(text: &str) -> Result<Vec<(Prefix, PathBuf)>, String> {
    let mut keys: Vec<(Prefix, PathBuf)> = Vec::new();
    for item in parse::items(text) {
        // A key in place of a file must not be shown.
        let (prefix, file) = item.split_once('=').ok_or("an entry without \"=\"")?;
        let prefix = prefix.trim();
        let prefix: Prefix =
            prefix.parse().map_err(|error| format!("invalid IP prefix \"{prefix}\": {error}"))?;
        if file.trim().is_empty() {
            return Err(format!("no file for {prefix}"));
        }
        if keys.iter().any(|(other, _)| *other == prefix) {
            return Err(format!("{prefix} has two files"));
        }
        keys.push((prefix, PathBuf::from(file.trim())));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port_and_perhaps_tls() {
        let listed = addresses("0.0.0.0:11019, [::]:11019,tls://collector.example:11020,", true).unwrap();
        let address = |host: &str, port, is_tls| Address { host: host.to_owned(), port, is_tls };
        let expected = [
            address("0.0.0.0", 11_019, false),
            address("::", 11_019, false),
            address("collector.example", 11_020, true),
        ];
        assert_eq!(listed, expected);
        assert_eq!(addresses("127.0.0.1:0,127.0.0.1:0", true).unwrap().len(), 2);
        for wrong in [
            "0.0.0.0",
            "::",
            "[::]",
            ":11019",
            "tcp://a:1",
            "TLS://a:1",
            "a:1,a:1",
            "a:1,tls://a:1",
            "a:70000",
        ] {
            assert!(addresses(wrong, true).is_err(), "{wrong}");
        }
        assert!(addresses("tls://edge1:1790", false).is_err());
        assert!(addresses("edge1:0", false).is_err());
    }

    #[test]
    fn keys_are_files_by_prefix() {
        let keys = md5("192.0.2.0/24=/etc/key, 2001:db8::1 = /etc/other").unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[1], ("2001:db8::1".parse().unwrap(), PathBuf::from("/etc/other")));
        for wrong in ["swordfish", "192.0.2.0/33=/etc/key", "10.0.0.1=", "10.0.0.1=/a,10.0.0.1/32=/b"] {
            let error = md5(wrong).unwrap_err();
            assert!(!error.contains("swordfish"), "{error}");
        }
    }
}
