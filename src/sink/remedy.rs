//! What an operator can do about an error that a retry alone does not end.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Remedy for a missing password.
const PASSWORD: &str = "set DB_PASSWORD, DB_PASSWORD_FILE or the credential to the password of DB_USER";

/// Remedy for a server that cannot be authenticated, or has no TLS.
const TLS: &str = "check DB_SSLMODE, DB_SSLROOTCERT, and the certificate of the server";

/// Remedy for an error reply with this SQLSTATE; `None` if there is no general one.
pub(super) fn for_sqlstate(state: &SqlState) -> Option<&'static str> {
    match state.code() {
        "28P01" => Some(PASSWORD),
        "28000" => {
            Some("create the role DB_USER if it is missing, and allow it and this address in pg_hba.conf")
        }
        "3D000" => Some("create the database (createdb), or correct DB_NAME"),
        "42501" => Some("grant the role its privileges with deploy/roles.sql, or use another DB_USER"),
        _ => None,
    }
}

/// Remedy for an error of the client library without a reply of the server, if it is one of the settings:
/// there is no password although the server asks for one, the server and the settings have no method of
/// authentication in common, or the server is not the one that the TLS settings require.
///
/// The library does not expose the kinds of its errors but by their fixed texts.
pub(super) fn for_client_error(error: &Error) -> Option<&'static str> {
    let cause = error.source();
    match error.to_string().as_str() {
        "invalid configuration" | "authentication error" => Some(PASSWORD),
        "error performing TLS handshake" => {
            // Other errors of the handshake, such as a lost connection, are transient.
            let is_lasting = match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
                Some(error) => {
                    error.get_ref().and_then(|inner| inner.downcast_ref()).is_some_and(is_certificate)
                }
                None => cause.is_some(),
            };
            is_lasting.then_some(TLS)
        }
        _ => None,
    }
}

/// Whether the certificate of the server is not accepted.
const fn is_certificate(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
}
