//! A file system that is too small for what a database stores.

use std::process::Command;

/// A tmpfs with a tablespace on it; unmounted with this value.
pub(crate) struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// What has room for a part of a million routes only.
    pub(crate) const MIB: u32 = 200;

    /// `None` where mounting is not allowed, or the server does not run as `postgres`.
    pub(crate) fn mount() -> Option<Self> {
        let user = Command::new("id").args(["-u", "postgres"]).output().ok()?;
        let user = String::from_utf8(user.stdout).ok()?.trim().parse::<u32>().ok()?;
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        disk.run("mount", &format!("size={}m,mode=700,uid={user}", Self::MIB)).then_some(disk)
    }

    fn run(&self, program: &str, options: &str) -> bool {
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let done = Command::new(program).args(arguments).arg(self.folder.path()).output();
        done.is_ok_and(|done| done.status.success())
    }

    /// There is room again.
    pub(crate) fn grow(&self) {
        assert!(self.run("mount", "remount,size=8g"));
    }

    /// From now on the tables of the database, those that are to come too, are here.
    pub(crate) fn takes(&self, database: &str) -> String {
        let path = self.folder.path().display();
        format!(
            "CREATE TABLESPACE small LOCATION '{path}'; \
             ALTER DATABASE {database} SET default_tablespace = 'small';
            ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE small;
            ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE small"
        )
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.folder.path()).status());
    }
}
