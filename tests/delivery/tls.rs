//! The connection of a lane with each TLS mode, and over a Unix socket: exchanges use the same stream as the
//! client library.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::common::batches::{Builder, peer};
use crate::common::certificates;
use crate::common::db::{Database, Edition};
use crate::common::source::server_address;
use crate::common::store::{COLLECTOR, OWNER, Store, lane};
use holdfast::route::RibView;
use holdfast::sink::{Connection, ErrorAction, SslMode, Target, TlsFiles};

/// Starts a server that accepts TLS and forwards to `server` without it.
async fn tls_server(folder: &Path, server: SocketAddr) -> SocketAddr {
    certificates::certificate(folder, "server", "ca", "DNS:localhost");
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "SSLRequest");
                client.write_all(b"S").await.unwrap();
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(server).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    address
}

fn target(database: &Database, host: &str, port: u16, mode: SslMode, root: Option<&Path>) -> Target {
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port);
    config.user(database.config.get_user().unwrap()).dbname(database.config.get_dbname().unwrap());
    if let Some(password) = database.config.get_password() {
        config.password(password);
    }
    let files = TlsFiles { root: root.map(Path::to_owned), ..TlsFiles::default() };
    Target::new(config, mode, &files).unwrap()
}

/// Stores transactions over a connection to the target.
async fn stores(store: &mut Store, target: &Target) {
    store.connection = Connection::attach(target, &lane(), OWNER, None).await.unwrap().0;
    for path in 1..4 {
        let from = peer(1, RibView::AdjInPre, 1);
        let numbers = 0..2_000;
        let at = i64::try_from(store.next).unwrap();
        store.put(&[Builder::new("r1", 0).at(at).announce(&from, numbers, &[path]).build()]).await;
    }
    // The client library uses the stream between exchanges.
    assert!(store.connection.rejected_bytes().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_stored_with_each_tls_mode() {
    let folder = tempfile::tempdir().unwrap();
    if certificates::authorities(folder.path()).is_none() {
        return;
    }
    let Some(mut store) = Store::open(Edition::Plain, "tls_modes").await else { return };
    let plain = server_address(&store.database).await;
    let tls = tls_server(folder.path(), plain).await;
    let (ca, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    for (mode, root, port) in [
        (SslMode::Disable, None, plain.port()),
        (SslMode::Prefer, None, plain.port()),
        (SslMode::Prefer, None, tls.port()),
        (SslMode::Require, None, tls.port()),
        (SslMode::VerifyCa, Some(&ca), tls.port()),
        (SslMode::VerifyFull, Some(&ca), tls.port()),
    ] {
        let target = target(&store.database, "localhost", port, mode, root.map(|path| path.as_path()));
        stores(&mut store, &target).await;
    }
    for (mode, root, port, reason) in [
        (SslMode::Require, None, plain.port(), "server does not support TLS"),
        (SslMode::VerifyFull, Some(&other), tls.port(), "UnknownIssuer"),
    ] {
        let target = target(&store.database, "localhost", port, mode, root.map(|path| path.as_path()));
        let error = Connection::attach(&target, &lane(), OWNER, None).await.err().unwrap().to_string();
        assert!(error.contains(reason), "{mode:?}: {error}");
    }
    store.close().await;
}

/// Listens on a Unix socket as a server does, and forwards to `server`.
fn unix_server(directory: &Path, port: u16, server: SocketAddr) {
    let listener = UnixListener::bind(directory.join(format!(".s.PGSQL.{port}"))).unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_stored_over_a_unix_socket() {
    let Some(mut store) = Store::open(Edition::Plain, "tls_unix").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = server_address(&store.database).await;
    let target =
        |port| target(&store.database, directory.path().to_str().unwrap(), port, SslMode::Prefer, None);
    let (target, absent) = (target(5432), target(5433));
    unix_server(directory.path(), 5432, server);
    stores(&mut store, &target).await;
    assert_eq!(store.database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let error = Connection::attach(&absent, &lane(), OWNER, None).await.err().unwrap();
    assert_eq!((error.class(), error.action()), ("connection", ErrorAction::Retry));
    let text = error.to_string();
    assert!(text.starts_with("database connection failed: /") && text.contains(".s.PGSQL.5433: "), "{text}");
    store.close().await;
}
