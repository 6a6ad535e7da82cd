//! Opens the files of a log's directory: only regular files, never through a symbolic link, and with a fixed
//! mode whatever the umask is. A link planted in the directory thus neither truncates nor reveals the file
//! that it names.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Mode of the directories that Holdfast creates: no access for other users.
pub const DIRECTORY_MODE: u32 = 0o750;

/// Mode of the files that Holdfast creates: members of the group can read them with `walctl`.
pub const FILE_MODE: u32 = 0o640;

/// `O_NONBLOCK`, so that a named pipe does not keep its opener waiting; regular files ignore it.
const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// Opens an existing file for reading.
///
/// # Errors
/// Fails if the file cannot be opened, is a symbolic link, or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().read(true))
}

/// Creates a file with [`FILE_MODE`] for writing; an existing file is emptied.
///
/// # Errors
/// Fails if the file cannot be created, is a symbolic link, or is not a regular file.
pub fn create(path: &Path) -> io::Result<File> {
    let file = open_with(path, OpenOptions::new().write(true).create(true).truncate(true))?;
    set_mode(&file)?;
    Ok(file)
}

/// Opens a file with other options.
pub(in crate::wal) fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options.mode(FILE_MODE).custom_flags(FLAGS.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => not_regular("a symbolic link"),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular("not a regular file")) }
}

/// Sets [`FILE_MODE`], of which the umask may have removed bits.
pub(in crate::wal) fn set_mode(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o777 == FILE_MODE {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

fn not_regular(found: &str) -> io::Error {
    io::Error::other(format!("is {found}; expected a regular file: move it away"))
}
