//! The settings of the transports.

use super::setting::{GIB, KIB, derived, fixed, integer};
use super::{Kind, Setting};

/// All settings of the transports, in the order of display.
pub(super) const TRANSPORT: &[Setting] = &[
    derived(
        "BMP_LISTEN",
        Kind::Listeners,
        "BMP_LISTEN_HOST and BMP_LISTEN_PORT",
        "Addresses on which BMP connections are accepted, in place of BMP_LISTEN_HOST and BMP_LISTEN_PORT. \
         `tls://` addresses require TLS. `[::]` accepts IPv4 as well, unless `0.0.0.0` is listed with the \
         same port.",
    ),
    derived(
        "BMP_CONNECT",
        Kind::Remotes,
        "none",
        "Routers that listen for BMP stations and to which Holdfast connects (active mode), with a delay of \
         1 s to 60 s between attempts. `holdfast status` is degraded while one of them is not connected. \
         BMP_ALLOW does not apply to them.",
    ),
    derived(
        "BMP_TLS_CERT",
        Kind::Path,
        "none",
        "PEM file with the certificate chain of the `tls://` addresses. Changed files are read at the next \
         handshake, or after a minute.",
    )
    .for_new_connections(),
    derived(
        "BMP_TLS_KEY",
        Kind::Path,
        "none",
        "PEM file with the private key of BMP_TLS_CERT. It must not be accessible to others.",
    )
    .for_new_connections(),
    derived(
        "BMP_TLS_CLIENT_CA",
        Kind::Path,
        "none; routers need no certificate",
        "PEM file with the authorities that sign the certificates of routers. If it is set, a router without \
         such a certificate is refused.",
    )
    .for_new_connections(),
    fixed(
        "BMP_TLS_IDENTITY",
        Kind::Choice(&["off", "certificate"]),
        "off",
        "`certificate`: the first DNS name (subjectAltName) in a router's certificate is the router's name, \
         and takes precedence over BMP_ROUTER_NAMES and sysName.",
    )
    .for_new_connections(),
    fixed(
        "BMP_HANDSHAKE_TIMEOUT_S",
        integer(1, 600, "s"),
        "10",
        "Time limit for a TLS handshake, and for a PROXY header.",
    )
    .for_new_connections(),
    derived(
        "BMP_PROXY_FROM",
        Kind::Prefixes,
        "none",
        "Addresses of proxies that send a PROXY protocol header of version 2 with the address of the router. \
         Connections from them without such a header are closed.",
    )
    .for_new_connections(),
    derived(
        "BMP_MD5",
        Kind::PrefixFiles,
        "none",
        "TCP-MD5 (RFC 2385) with the routers of a prefix; the key is the first line of the file, which must \
         not be accessible to others. The kernel drops segments of these routers without a valid signature.",
    ),
    derived(
        "BMP_RECEIVE_BUFFER",
        Kind::Bytes { min: 4 * KIB, max: GIB },
        "set by the kernel (net.ipv4.tcp_rmem)",
        "Size of the receive buffer of each connection (SO_RCVBUF). The kernel limits it to \
         net.core.rmem_max.",
    ),
];
