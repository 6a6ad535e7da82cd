//! Owners and modes of the directories and files of the daemon, checked before the first one is opened.
//!
//! A directory in which other users can replace files, because it belongs to one of them or every user may
//! write to it, stops the start. Files and directories that Holdfast has created, and that other users can
//! read or write since an earlier version or a copy, get their modes back.

use std::collections::BTreeSet;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::config::Config;
use crate::forwarder::MARKER_FILES;
use crate::wal::is_log_file;
use crate::wal::safe_open::{DIRECTORY_MODE, FILE_MODE};

/// Owner that stands for all users who do not exist in a user namespace.
const UNMAPPED: u32 = 65_534;

const EVERY_USER_WRITES: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Explains the event `directory_group_writable`.
const GROUP_DETAIL: &str = "members of the group can replace the files of the daemon; expected mode 0750";

/// A directory in which other users can replace files.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Every user may write to the directory.
    #[error(
        "{setting}: every user can write to {} (mode {mode:04o}), and replace the files of the daemon; \
         expected mode 0750, or the sticky bit for a directory that is shared; run: chmod o-w {}",
        path.display(), path.display()
    )]
    WritableByEveryUser {
        /// The setting that names the directory or one below it.
        setting: &'static str,
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The directory belongs to another user.
    #[error(
        "{setting}: {} belongs to uid {owner}, who can replace the files of the daemon; expected uid \
         {expected}, the user of the daemon, or root; run: chown {expected} {}",
        path.display(), path.display()
    )]
    ForeignOwner {
        /// The setting that names the directory or one below it.
        setting: &'static str,
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of the daemon.
        expected: u32,
    },
    /// The path exists and is not a directory.
    #[error("{setting}: {} is not a directory; set another path, or move the file away", path.display())]
    NotADirectory {
        /// The setting that names the path or one below it.
        setting: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A file of the daemon is a symbolic link.
    #[error("{setting}: {} is a symbolic link; expected a regular file: move it away", path.display())]
    Link {
        /// The setting that names the directory of the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file system returned an error.
    #[error("{setting}: cannot examine {}: {source}", path.display())]
    Io {
        /// The setting that names the path or one below it.
        setting: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
}

/// Checks the directories of the configuration, and corrects the modes of what is in them.
///
/// # Errors
/// Fails if other users can replace files of the daemon.
pub(super) fn check(config: &Config) -> Result<(), DirectoryError> {
    let (state, log, sled) = (&config.state_dir, &config.wal.dir, config.state_dir.join("sled"));
    let log_setting = if *log == state.join("wal") { "STATE_DIR" } else { "WAL_DIR" };
    let socket = config.status_socket.parent().unwrap_or(Path::new("."));
    let mut checked = BTreeSet::new();
    for (setting, path) in [
        ("STATE_DIR", state.as_path()),
        ("STATE_DIR", sled.as_path()),
        (log_setting, log.as_path()),
        ("STATUS_SOCKET", socket),
    ] {
        if path == sled && fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
            // A damaged state does not stop the collection: it is moved aside when the state is opened.
            continue;
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Checked { setting, user: geteuid().as_raw(), checked: &mut checked }.directory(path)?;
    }
    let mut corrections = Corrections::default();
    corrections.files("STATE_DIR", &sled, |_| true)?;
    corrections.files("STATE_DIR", &sled.join("blobs"), |_| true)?;
    corrections.files(log_setting, log, is_of_log)?;
    // These were created by Holdfast. The others may be directories that the administrator shares.
    for directory in [&sled, &sled.join("blobs"), &state.join("wal")] {
        corrections.mode(directory, DIRECTORY_MODE);
    }
    corrections.report();
    Ok(())
}

/// Whether a file in the log's directory is one of Holdfast.
fn is_of_log(name: &str) -> bool {
    is_log_file(name) || MARKER_FILES.contains(&name.trim_end_matches(".part"))
}

/// Checks the directories of one setting.
struct Checked<'a> {
    setting: &'static str,
    /// The user of the daemon.
    user: u32,
    /// Directories that have been checked.
    checked: &'a mut BTreeSet<PathBuf>,
}

impl Checked<'_> {
    /// Checks a directory and the ones that contain it and the link to it. If it does not exist yet, the
    /// daemon will create it, so that the closest directory above it is checked.
    fn directory(&mut self, path: &Path) -> Result<(), DirectoryError> {
        let absolute = std::path::absolute(path).map_err(|source| self.failed(path, source))?;
        for level in absolute.ancestors() {
            // Links are followed: an administrator may move the directory to another file system.
            match fs::canonicalize(level).and_then(|path| Ok((fs::metadata(&path)?, path))) {
                Ok((found, path)) if found.is_dir() => {
                    self.is_safe(&path, &found, level == absolute)?;
                    return [path.parent(), level.parent()].into_iter().flatten().try_for_each(|parent| {
                        let found = fs::metadata(parent).map_err(|source| self.failed(parent, source))?;
                        self.is_safe(parent, &found, false)
                    });
                }
                Ok((_, path)) => return Err(DirectoryError::NotADirectory { setting: self.setting, path }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(self.failed(level, source)),
            }
        }
        Ok(())
    }

    fn is_safe(&mut self, path: &Path, found: &Metadata, is_of_setting: bool) -> Result<(), DirectoryError> {
        let (setting, owner, mode) = (self.setting, found.uid(), found.mode() & 0o7777);
        if !self.checked.insert(path.to_owned()) {
            return Ok(());
        }
        if mode & EVERY_USER_WRITES != 0 && mode & STICKY == 0 {
            return Err(DirectoryError::WritableByEveryUser { setting, path: path.to_owned(), mode });
        }
        let is_unknown = !is_of_setting && owner == UNMAPPED && in_user_namespace();
        if ![0, self.user].contains(&owner) && !is_unknown {
            let (path, expected) = (path.to_owned(), self.user);
            return Err(DirectoryError::ForeignOwner { setting, path, owner, expected });
        }
        if is_of_setting && mode & GROUP_WRITES != 0 && mode & STICKY == 0 {
            let (path, mode) = (path.display(), format!("{mode:04o}"));
            tracing::warn!(setting, %path, mode, detail = GROUP_DETAIL, "directory_group_writable");
        }
        Ok(())
    }

    fn failed(&self, path: &Path, source: io::Error) -> DirectoryError {
        DirectoryError::Io { setting: self.setting, path: path.to_owned(), source }
    }
}

/// Whether this process is in a user namespace that does not have all users, so that the owner of a directory
/// outside of it can be unknown.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Files and directories whose modes were corrected.
#[derive(Default)]
struct Corrections {
    corrected: Vec<PathBuf>,
    /// Those whose modes could not be corrected, and the last error.
    failed: Vec<(PathBuf, io::Error)>,
}

impl Corrections {
    /// Corrects the modes of the regular files in a directory that the daemon has created.
    fn files(
        &mut self,
        setting: &'static str,
        directory: &Path,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<(), DirectoryError> {
        let failed = |source| DirectoryError::Io { setting, path: directory.to_owned(), source };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // The components report errors of opening the directory.
            Err(_) => return Ok(()),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_str().is_some_and(&is_ours) {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_file() {
                self.mode(&entry.path(), FILE_MODE);
            } else if kind.is_symlink() && !is_of_log(&entry.file_name().to_string_lossy()) {
                // sled would follow it. The files of the log are opened without following links.
                return Err(DirectoryError::Link { setting, path: entry.path() });
            }
        }
        Ok(())
    }

    /// Removes the bits that `mode` does not have. Never adds any.
    fn mode(&mut self, path: &Path, mode: u32) {
        let Ok(found) = fs::symlink_metadata(path) else { return };
        let now = found.mode() & 0o777;
        if found.is_symlink() || now & !mode == 0 {
            return;
        }
        match fs::set_permissions(path, Permissions::from_mode(now & mode)) {
            Ok(()) => self.corrected.push(path.to_owned()),
            Err(error) => self.failed.push((path.to_owned(), error)),
        }
    }

    fn report(&self) {
        if let Some(path) = self.corrected.first() {
            let count = self.corrected.len();
            tracing::warn!(count, path = %path.display(), "permissions_corrected");
        }
        if let Some((path, error)) = self.failed.first() {
            let count = self.failed.len();
            tracing::warn!(count, path = %path.display(), %error, "permissions_not_corrected");
        }
    }
}
