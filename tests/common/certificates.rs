//! Certificates for tests, made with the program openssl.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn openssl(folder: &Path, arguments: &str) -> Option<()> {
    let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().ok()?;
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    Some(())
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// Creates the authorities `ca` and `other`. Prints SKIPPED and returns `None` if openssl is not installed.
pub fn authorities(folder: &Path) -> Option<()> {
    for ca in ["ca", "other"] {
        let arguments = format!("req -x509 {KEY} -days 2 -keyout {ca}.key -out {ca}.pem -subj /CN={ca}");
        if openssl(folder, &arguments).is_none() {
            println!("SKIPPED: TLS: no openssl");
            let required = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
            assert!(!required, "REQUIRE_ALL=1 and no openssl");
            return None;
        }
    }
    Some(())
}

/// Creates a certificate `name.pem` and its key `name.key`, signed by an authority. `names` is the value of
/// subjectAltName.
pub fn certificate(folder: &Path, name: &str, ca: &str, names: &str) {
    issue(folder, name, ca, names, "-days 2");
}

/// Creates a certificate that expired years ago.
pub fn expired_certificate(folder: &Path, name: &str, ca: &str, names: &str) {
    issue(folder, name, ca, names, "-startdate 20200101000000Z -enddate 20200102000000Z");
}

fn issue(folder: &Path, name: &str, ca: &str, names: &str, validity: &str) {
    let configuration = "[ca]\ndefault_ca = one\n[one]\ndatabase = index.txt\nnew_certs_dir = .\n\
        rand_serial = yes\ndefault_md = sha256\npolicy = any\ncopy_extensions = copy\n\
        unique_subject = no\n[any]\ncommonName = supplied\n";
    fs::write(folder.join("ca.cnf"), configuration).unwrap();
    fs::write(folder.join("index.txt"), "").unwrap();
    for arguments in [
        format!(
            "req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName={names}"
        ),
        format!(
            "ca -batch -notext -config ca.cnf -cert {ca}.pem -keyfile {ca}.key {validity} -in {name}.csr \
             -out {name}.pem"
        ),
    ] {
        openssl(folder, &arguments).unwrap();
    }
    fs::set_permissions(folder.join(format!("{name}.key")), fs::Permissions::from_mode(0o600)).unwrap();
}
