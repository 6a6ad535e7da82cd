//! The program against a real database: two collectors on copies of one log, all TLS modes, and no secret in
//! its output.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::common::daemon::{Daemon, run};
use crate::common::db::{Database, Edition};
use crate::common::messages::{PEER, initiation, open, plain_attributes, update, v4};
use crate::common::secrets::write_secret;
use holdfast::telemetry::status::ConditionKind;

const SECRET: &str = "hunter2-p@ss:word";

fn session(name: &str, routes: std::ops::Range<u8>) -> Vec<u8> {
    let opens = (open(65_001, &[]), open(65_002, &[]));
    let mut bytes = [initiation(name), PEER.peer_up(&opens.0, &opens.1, &[])].concat();
    for number in routes {
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24));
        bytes.extend(PEER.route_monitoring(&pdu));
    }
    bytes
}

/// The settings with the address of a test's database.
struct Place {
    host: String,
    port: String,
    user: String,
    name: String,
}

impl Place {
    fn of(database: &Database) -> Self {
        let tokio_postgres::config::Host::Tcp(host) = &database.config.get_hosts()[0] else {
            panic!("no TCP host")
        };
        Self {
            host: host.clone(),
            port: database.config.get_ports()[0].to_string(),
            user: database.config.get_user().unwrap().to_owned(),
            name: database.config.get_dbname().unwrap().to_owned(),
        }
    }

    fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let place = [
            ("DB_HOST", &self.host),
            ("DB_PORT", &self.port),
            ("DB_USER", &self.user),
            ("DB_NAME", &self.name),
        ];
        let place = place.iter().map(|(name, value)| (*name, value.as_str()));
        place
            .filter(|(name, _)| more.iter().all(|(own, _)| own != name))
            .chain(more.iter().copied())
            .collect()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else if source.is_file() {
            fs::copy(source, target).unwrap();
        }
    }
}

/// Waits in a blocking thread, so that the runtime of the test continues.
async fn routes(database: &Database, wanted: i64) {
    let give_up = std::time::Instant::now() + crate::common::daemon::PATIENCE;
    loop {
        let found = database.value::<i64>("SELECT count(*) FROM route_updates").await;
        if found == wanted {
            return;
        }
        assert!(std::time::Instant::now() < give_up, "{found} routes, not {wanted}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_collectors_with_one_id_the_older_keeps_logging_and_does_not_win_back() {
    let Some(database) = Database::migrated(Edition::Timescale, "two_processes").await else { return };
    let place = Place::of(&database);
    let settings = place.settings(&[("DB_SSLMODE", "disable"), ("DRAIN_MAX_DELAY_MS", "20")]);
    let (first_folder, second_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Daemon::start(first_folder.path(), &settings);
    drop(first.send(&session("edge1", 0..10)));
    routes(&database, 10).await;
    first.durable(13);
    assert_eq!(first.stop().code(), Some(0));
    copy(first_folder.path(), second_folder.path());

    let mut first = Daemon::start(first_folder.path(), &settings);
    // The router is known and not connected; nothing else is wrong.
    first.status_when(|status| status.conditions == [ConditionKind::RoutersNotConnected]);
    let second = Daemon::start(second_folder.path(), &settings);
    let to_second = second.send(&session("edge2", 0..20));
    routes(&database, 30).await;

    // The first collector halts at its next transaction, raises an alarm, and continues to log.
    let to_first = first.send(&session("edge1", 0..10));
    let halted = first.event("delivery_halted");
    assert!(halted.to_string().contains("taken over"), "{halted}");
    first.status_when(|status| status.conditions.contains(&ConditionKind::Lane));
    let before = first.status().wal.records_durable;
    let again = first.send(&session("edge3", 0..50));
    first.durable(before + 52);
    second.status_when(|status| !status.conditions.contains(&ConditionKind::Lane));
    routes(&database, 30).await;
    drop((again, to_first, to_second));
    assert_eq!(second.stop().code(), Some(0));
    assert_eq!(first.stop().code(), Some(0));

    // After a restart it detects the fork and delivers everything that it has logged.
    let mut first = Daemon::start(first_folder.path(), &settings);
    first.event_since_start("log_forked");
    // The re-dump of edge1 changes nothing and adds no history.
    routes(&database, 30 + 50).await;
    assert_eq!(first.stop().code(), Some(0));
    assert_eq!(database.missing_and_doubled("test").await, (0, 0));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM holdfast_verify('test')").await, 2);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_was_rejected() {
    let Some(database) = Database::migrated(Edition::Plain, "status_rejected").await else { return };
    let bad = "ALTER TABLE route_records ADD CONSTRAINT bad CHECK (prefix <> '10.0.3.0/24')";
    database.client().await.batch_execute(bad).await.unwrap();
    let place = Place::of(&database);
    let settings = place.settings(&[("DB_SSLMODE", "disable"), ("DRAIN_MAX_DELAY_MS", "20")]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &settings);
    drop(daemon.send(&session("edge1", 0..10)));
    routes(&database, 9).await;
    let told = daemon.status_when(|status| status.delivery.as_ref().is_some_and(|one| one.rejected == 1));
    assert!(told.reasons.iter().any(|reason| reason.contains("holdfast rejected")), "{:?}", told.reasons);
    let page = run(folder.path(), &["status"], &settings);
    assert!(String::from_utf8_lossy(&page.stdout).contains("1 records rejected"));
    assert_eq!(daemon.stop().code(), Some(0));
    database.drop().await;
}

/// Creates certificates with openssl: an authority, a server `db.example` and `localhost`, and a client.
fn certificates(folder: &Path) -> Option<()> {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().ok()?;
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
        Some(())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for ca in ["ca", "other"] {
        openssl(&format!("req -x509 {key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca}"))?;
    }
    for (name, subject, names) in [
        ("server", "db.example", "DNS:db.example,DNS:localhost"),
        ("client", "holdfast_tls", "DNS:holdfast_tls"),
    ] {
        openssl(&format!(
            "req {key} -keyout {name}.key -out {name}.csr -subj /CN={subject} -addext subjectAltName={names}"
        ))?;
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copy -out {name}.pem"
        ))?;
    }
    fs::set_permissions(folder.join("client.key"), fs::Permissions::from_mode(0o600)).unwrap();
    Some(())
}

/// A file written by the server, so that the server owns it.
async fn put(client: &tokio_postgres::Client, text: &str, path: &str) {
    let literal = text.replace('\'', "''");
    let program = format!("umask 077; sed \"s/\\\\\\\\n/\\n/g\" > {path}");
    let sql = format!("COPY (SELECT '{literal}') TO PROGRAM '{}'", program.replace('\'', "''"));
    client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// A server with TLS, where `holdfast_tls` must show a certificate and `holdfast_word` a password.
async fn tls_server(folder: &Path) -> Option<Database> {
    if certificates(folder).is_none() {
        println!("SKIPPED: TLS to the database: no openssl");
        assert!(
            std::env::var_os("REQUIRE_ALL").is_none_or(|value| value != "1"),
            "REQUIRE_ALL=1 and no openssl"
        );
        return None;
    }
    // Left by a failed run.
    drop(crate::common::db::testbed(&["destroy", "--name", "tests-tls"]));
    let database = Database::named(Edition::Plain, "tests-tls", "tls").await?;
    let client = database.client().await;
    let directory: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    for name in ["server.key", "server.pem", "ca.pem"] {
        put(&client, &fs::read_to_string(folder.join(name)).unwrap(), &format!("{directory}/test-{name}"))
            .await;
    }
    let rules = "hostssl all holdfast_tls all cert\nhostssl all holdfast_word all scram-sha-256\n\
        host all holdfast_tls all reject\nhost all holdfast_word all reject\nhost all all all trust\n\
         local all all trust\n";
    put(&client, rules, &format!("{directory}/test-hba.conf")).await;
    let name = database.config.get_dbname().unwrap();
    for sql in [
        "ALTER SYSTEM SET ssl_cert_file = 'test-server.pem'".to_owned(),
        "ALTER SYSTEM SET ssl_key_file = 'test-server.key'".to_owned(),
        "ALTER SYSTEM SET ssl_ca_file = 'test-ca.pem'".to_owned(),
        "ALTER SYSTEM SET ssl = on".to_owned(),
        format!("ALTER SYSTEM SET hba_file = '{directory}/test-hba.conf'"),
        "DROP ROLE IF EXISTS holdfast_tls".to_owned(),
        "DROP ROLE IF EXISTS holdfast_word".to_owned(),
        "CREATE ROLE holdfast_tls SUPERUSER LOGIN".to_owned(),
        format!("CREATE ROLE holdfast_word SUPERUSER LOGIN PASSWORD '{SECRET}'"),
        format!("ALTER DATABASE {name} OWNER TO holdfast_tls"),
    ] {
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    drop(client);
    database.restart();
    Some(database)
}

/// The password in a file, in a directory of credentials, and in libpq's file.
fn passwords(folder: &Path) -> [String; 3] {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let paths = [file("password"), file("credentials"), file("pgpass")];
    write_secret(Path::new(&paths[0]), SECRET);
    fs::create_dir(&paths[1]).unwrap();
    fs::write(format!("{}/db_password", paths[1]), format!("{SECRET}\n")).unwrap();
    fs::write(&paths[2], format!("*:*:*:holdfast_word:{}\n", SECRET.replace(':', "\\:"))).unwrap();
    fs::set_permissions(&paths[2], fs::Permissions::from_mode(0o600)).unwrap();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_proves_as_much_as_its_mode_says_and_no_secret_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let Some(database) = tls_server(folder.path()).await else { return };
    let place = Place::of(&database);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, other) = (file("ca.pem"), file("other.pem"));
    let (certificate, key) = (file("client.pem"), file("client.key"));
    let client =
        [("DB_USER", "holdfast_tls"), ("DB_SSLCERT", certificate.as_str()), ("DB_SSLKEY", key.as_str())];
    // `holdfast rejected` connects like the daemon.
    let reach = |more: &[(&str, &str)]| {
        let output = run(folder.path(), &["rejected"], &place.settings(more));
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("hunter2"), "{said}");
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    let with = |mode, root| {
        let settings = [&client[..], &[("DB_SSLMODE", mode)], root].concat();
        reach(&settings)
    };
    let (ca, other) = ([("DB_SSLROOTCERT", ca.as_str())], [("DB_SSLROOTCERT", other.as_str())]);
    for (mode, root) in [("prefer", &[][..]), ("require", &[]), ("verify-ca", &ca)] {
        with(mode, root).unwrap_or_else(|said| panic!("{mode}: {said}"));
    }
    let by_name = [ca[0], ("DB_HOST", "localhost")];
    with("verify-full", &by_name).unwrap_or_else(|said| panic!("verify-full: {said}"));
    // The certificate has host names only, but the connection uses the IP address.
    for (mode, root, why) in [
        ("verify-full", &ca[..], "not valid for name"),
        ("verify-ca", &other, "UnknownIssuer"),
        ("verify-full", &other, "UnknownIssuer"),
    ] {
        let said = with(mode, root).unwrap_err();
        assert!(said.contains(why), "{mode}: {said}");
    }
    let without = reach(&[("DB_USER", "holdfast_tls"), ("DB_SSLMODE", "require")]).unwrap_err();
    assert!(without.contains("ertificate"), "{without}");
    let plain = reach(&[("DB_USER", "holdfast_tls"), ("DB_SSLMODE", "disable")]).unwrap_err();
    assert!(plain.contains("28000"), "{plain}");

    // Passwords: from a setting, from a file, from libpq's password file; and a wrong one.
    let word = [("DB_USER", "holdfast_word"), ("DB_SSLMODE", "require")];
    let [password_file, credentials, pgpass] = passwords(folder.path());
    for given in [
        ("DB_PASSWORD", SECRET),
        ("DB_PASSWORD_FILE", &password_file),
        ("CREDENTIALS_DIRECTORY", &credentials),
        ("PGPASSFILE", &pgpass),
    ] {
        reach(&[&word[..], &[given]].concat()).unwrap_or_else(|said| panic!("{}: {said}", given.0));
    }
    let wrong = reach(&[&word[..], &[("DB_PASSWORD", "hunter2-is-wrong")]].concat()).unwrap_err();
    assert!(wrong.contains("28P01"), "{wrong}");

    // The daemon, with the wrong password at debug level, and with the right one.
    let settings = place.settings(&[
        ("DB_USER", "holdfast_word"),
        ("DB_SSLMODE", "require"),
        ("DB_PASSWORD", "hunter2-is-wrong"),
        ("LOG_LEVEL", "debug"),
    ]);
    let mut daemon = Daemon::start(folder.path(), &settings);
    daemon.event_since_start("database_blocked");
    let said = format!("{:?}{:?}", daemon.status(), daemon.lines());
    assert!(said.contains("28P01") && !said.contains("hunter2"), "{said}");
    assert_eq!(daemon.stop().code(), Some(0));
    let settings = place.settings(&[&client[..], &[("DB_SSLMODE", "verify-ca")], &ca].concat());
    let daemon = Daemon::start(folder.path(), &settings);
    drop(daemon.send(&session("edge1", 0..10)));
    routes(&database, 10).await;
    assert_eq!(daemon.stop().code(), Some(0));
    database.destroy();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_a_quiet_router_does_not_wait_for_the_table_of_another_one() {
    let Some(database) = Database::migrated(Edition::Timescale, "quiet_router").await else { return };
    let place = Place::of(&database);
    let settings =
        place.settings(&[("DB_SSLMODE", "disable"), ("DRAIN_MAX_DELAY_MS", "20"), ("DRAIN_LANES", "1")]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &settings);
    let mut quiet = daemon.send(&session("quiet", 0..3));
    let announce = |number: u8| {
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24));
        PEER.route_monitoring(&pdu)
    };
    quiet.write_all(&PEER.route_monitoring(&update(&[], &[], &[]))).unwrap();
    // Its table is delivered soon; from then on its updates are of class live.
    let live = "SELECT count(*) FROM ingest_ledger WHERE lane = 1 AND stored > 0";
    let mut sent = 3;
    while database.value::<i64>(live).await == 0 {
        assert!(sent < 250, "no update of class live");
        quiet.write_all(&announce(sent)).unwrap();
        sent += 1;
        routes(&database, i64::from(sent)).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // From now on no table is delivered.
    let holder = database.client().await;
    let hold = "BEGIN; SELECT FROM ingest_checkpoint WHERE lane = 0 FOR UPDATE";
    holder.batch_execute(hold).await.unwrap();
    let before = daemon.status().wal.records_durable;
    let table = daemon.send(&session("big", 0..250));
    daemon.durable(before + 252);
    quiet.write_all(&announce(251)).unwrap();
    routes(&database, i64::from(sent) + 1).await;
    let stored = database.texts("SELECT DISTINCT router FROM route_updates").await;
    assert_eq!(stored, ["quiet"], "the table of the other router is in the log, and not delivered");
    holder.batch_execute("ROLLBACK").await.unwrap();
    routes(&database, i64::from(sent) + 1 + 250).await;
    drop((quiet, table));
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(database.missing_and_doubled("test").await, (0, 0));
    database.drop().await;
}
