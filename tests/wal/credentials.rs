//! The password of `--to`: from the URL, a setting, libpq's environment, or libpq's password file.
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::common::secrets::write_secret;

/// A server that asks for a password and rejects every one.
struct Server {
    listener: TcpListener,
}

impl Server {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn url(&self, password: &str) -> String {
        let address = self.listener.local_addr().unwrap();
        format!("postgres://holdfast{password}@{address}/holdfast?sslmode=disable")
    }

    /// Runs `walctl rejected list` with these variables only. Returns the password that the server received,
    /// and the error output.
    fn password(&self, url: &str, environment: &[(&str, &str)]) -> (String, String) {
        let listener = self.listener.try_clone().unwrap();
        let server = thread::spawn(move || asked(listener.accept().unwrap().0));
        let mut walctl = Command::new(env!("CARGO_BIN_EXE_walctl"));
        walctl.args(["rejected", "list", "--to", url]).env_clear().envs(environment.iter().copied());
        let output = walctl.output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        (server.join().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Length of a message of the PostgreSQL protocol, and its contents.
fn message(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut contents = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    stream.read_exact(&mut contents).unwrap();
    contents
}

/// Asks a client for its password in clear text. Empty if the client has none.
fn asked(mut stream: TcpStream) -> String {
    message(&mut stream);
    stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).unwrap();
    if stream.read_exact(&mut [0]).is_err() {
        return String::new();
    }
    let password = message(&mut stream);
    String::from_utf8(password).unwrap().trim_end_matches('\0').to_owned()
}

fn password_file(path: &Path, password: &str, mode: u32) -> String {
    fs::write(path, format!("*:*:*:holdfast:{password}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_password_is_taken_from_the_first_source_that_has_one() {
    let (server, directory) = (Server::new(), tempfile::tempdir().unwrap());
    let home = directory.path().to_str().unwrap();
    password_file(&directory.path().join(".pgpass"), "of-home", 0o600);
    let file = password_file(&directory.path().join("pgpass"), "of-pgpassfile", 0o600);
    let secret = directory.path().join("secret");
    write_secret(&secret, "of-file\n");
    // From the last source to the first: each takes precedence over those before.
    let variables = [("HOME", home), ("PGPASSFILE", file.as_str()), ("PGPASSWORD", "of-pgpassword")];
    for (number, expected) in ["of-home", "of-pgpassfile", "of-pgpassword"].into_iter().enumerate() {
        let (password, err) = server.password(&server.url(""), &variables[..=number]);
        assert_eq!(password, expected, "{err}");
    }
    for (own, expected) in [
        (("DB_PASSWORD", "of-setting"), "of-setting"),
        (("DB_PASSWORD_FILE", secret.to_str().unwrap()), "of-file"),
    ] {
        let all = [&variables[..], &[own]].concat();
        assert_eq!(server.password(&server.url(""), &all).0, expected);
        assert_eq!(server.password(&server.url(":of-url"), &all).0, "of-url");
    }
}

#[test]
fn a_password_file_that_others_can_read_is_not_used_and_named() {
    let (server, directory) = (Server::new(), tempfile::tempdir().unwrap());
    let path = password_file(&directory.path().join(".pgpass"), "of-home", 0o644);
    let home = [("HOME", directory.path().to_str().unwrap())];
    let (password, err) = server.password(&server.url(""), &home);
    assert_eq!(password, "");
    assert!(err.contains(&path) && err.contains("readable by others; expected mode 0600"), "{err}");
    let (password, err) = server.password(&server.url(""), &[]);
    assert!(password.is_empty() && err.contains("password"), "{err}");
}

#[test]
fn a_database_that_cannot_be_reached_is_named_with_the_cause() {
    let mut walctl = Command::new(env!("CARGO_BIN_EXE_walctl"));
    let url = "postgres://nobody@127.0.0.1:1/none?sslmode=disable";
    let output = walctl.args(["rejected", "list", "--to", url]).env_clear().output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    let named = "cannot connect to the database at 127.0.0.1:1 (user nobody, database none): ";
    assert!(error.contains(named) && error.contains("Connection refused"), "{error}");
}
