//! The files of the image, without a container engine: its root, made from the programs of this build.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::{USER, image_environment, path, text};

/// The root of the image; `None` after a printed SKIPPED.
#[allow(clippy::print_stdout, reason = "a skipped test prints why")]
fn root(folder: &Path) -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: image: chroot needs the rights of root");
        return None;
    }
    let (root, state) = (folder.join("root"), folder.join("state"));
    let programs = Path::new(env!("CARGO_BIN_EXE_holdfast")).parent().unwrap();
    let made = Command::new("sh")
        .arg(path("deploy/image/root.sh"))
        .args([programs, &root, &state])
        .output()
        .unwrap();
    if !made.status.success() {
        println!("SKIPPED: image: {}", String::from_utf8_lossy(&made.stderr).trim());
        return None;
    }
    // As the instruction COPY with --chown does.
    std::fs::create_dir_all(root.join("var/lib")).unwrap();
    std::fs::rename(state.join("holdfast"), root.join("var/lib/holdfast")).unwrap();
    let user = u32::try_from(USER).unwrap();
    std::os::unix::fs::chown(root.join("var/lib/holdfast"), Some(user), Some(user)).unwrap();
    Some(root)
}

/// A command in the root with the environment and the user of the image, and as little else as a container.
fn command(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(format!("--userspec={USER}:{USER}")).arg(root).args(words).env_clear();
    command.envs(image_environment()).envs([("COLLECTOR_ID", "image"), ("BMP_LISTEN", "127.0.0.1:0")]);
    command
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

#[test]
fn the_daemon_runs_in_the_root_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let Some(root) = root(folder.path()) else { return };
    let check = command(&root, &["holdfast", "check-config"]).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let health = health_check();
    let health: Vec<&str> = health.iter().map(String::as_str).collect();
    let is_healthy = || command(&root, &health).output().unwrap().status.success();
    assert!(!is_healthy(), "no daemon answers");

    let mut daemon =
        Daemon(command(&root, &["holdfast"]).stdout(std::process::Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_healthy() {
        assert!(Instant::now() < deadline, "the daemon does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let list = command(&root, &["walctl", "list", "/var/lib/holdfast/wal"]).output().unwrap();
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let pid = rustix::process::Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(daemon.0.wait().unwrap().success());
    // Neither a shell nor anything else that the programs do not need.
    let programs: Vec<_> = std::fs::read_dir(root.join("usr/bin")).unwrap().collect();
    assert_eq!(programs.len(), 2);
}

/// The words of the health check of the image.
fn health_check() -> Vec<String> {
    let file = text("deploy/Containerfile").replace("\\\n", " ");
    let line = file.lines().find(|line| line.starts_with("HEALTHCHECK")).unwrap();
    serde_json::from_str(line.split_once("CMD ").unwrap().1).unwrap()
}

#[test]
fn the_image_runs_as_the_user_of_the_manifests_without_a_shell() {
    let file = text("deploy/Containerfile");
    assert!(file.contains(&format!("\nUSER {USER}:{USER}\n")) && file.contains("\nFROM scratch\n"));
    assert!(file.contains(&format!("--chown={USER}:{USER} /state /var/lib\n")));
    let root = text("deploy/image/root.sh");
    assert!(root.contains(&format!("holdfast:x:{USER}:{USER}:")));
    for folder in ["src", "tools", "migrations"] {
        assert!(file.contains(&format!("COPY {folder} {folder}\n")), "{folder} is not in the image's build");
    }
}
