//! The settings of the HTTP server.

use super::setting::{derived, integer};
use super::{Kind, Setting};

/// All settings of the HTTP server, in the order of display.
pub(super) const HTTP: &[Setting] = &[
    derived(
        "HTTP_LISTEN",
        Kind::Host,
        "off",
        "Address and port of the HTTP server with the web page, metrics, health and status, such as \
         `127.0.0.1:11080`; without a port, 11080. Outside the loopback interface it needs a token \
         (HTTP_TOKEN or HTTP_TOKEN_FILE), client certificates (HTTP_TLS_CLIENT_CA), or HTTP_PUBLIC=yes.",
    ),
    derived(
        "HTTP_TLS_CERT",
        Kind::Path,
        "none; plain HTTP",
        "PEM file with the certificate chain of the HTTP server, which speaks TLS only if it is set. It does \
         not decide who may read: that is HTTP_TOKEN, HTTP_TLS_CLIENT_CA or HTTP_PUBLIC. Changed files are \
         read at the next connection, or after 10 s.",
    )
    .for_new_connections(),
    derived(
        "HTTP_TLS_KEY",
        Kind::Path,
        "none",
        "PEM file with the private key of HTTP_TLS_CERT. It must not be accessible to others.",
    )
    .for_new_connections(),
    derived(
        "HTTP_TLS_CLIENT_CA",
        Kind::Path,
        "none; clients need no certificate",
        "PEM file with the authorities that sign the certificates of clients. If it is set, a client without \
         such a certificate is refused, whatever else is set.",
    )
    .for_new_connections(),
    derived(
        "HTTP_TOKEN",
        Kind::Secret,
        "none",
        "Token that HTTP requests must have: `Authorization: Bearer TOKEN`, or the token as the password of \
         any user in a browser. Without HTTP_TLS_CERT it is sent in clear text. Prefer a file: environment \
         variables are visible to other processes.",
    ),
    derived(
        "HTTP_TOKEN_FILE",
        Kind::Path,
        "none",
        "File whose first line is the token, as an alternative to HTTP_TOKEN. It must not be accessible to \
         others.",
    ),
    super::setting::fixed(
        "HTTP_PUBLIC",
        Kind::Choice(&["no", "yes"]),
        "no",
        "`yes` serves everybody who can reach an address outside the loopback interface, without a token or \
         a client certificate.",
    ),
    super::setting::fixed(
        "HTTP_METRICS_PEERS_MAX",
        integer(0, 100_000, ""),
        "1000",
        "Number of peers up to which `/metrics` has series of single peers. With more, it has those of \
         routers alone.",
    ),
];
