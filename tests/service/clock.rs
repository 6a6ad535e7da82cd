//! A wall clock that a test can set: a library, built by the test, adds an offset from a file to the
//! program's clock.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *seconds;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("TEST_CLOCK"), O_RDONLY);
    seconds = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += *seconds;
    return result;
}
"#;

pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Builds the library; `None` after a printed SKIPPED if it cannot be built or loaded.
    pub fn new(folder: &Path) -> Option<Self> {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        let offset = folder.join("clock");
        fs::write(&source, LIBRARY).unwrap();
        fs::write(&offset, vec![0; 4096]).unwrap();
        let mut compiler = Command::new("cc");
        let built = compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).status();
        if !built.is_ok_and(|status| status.success()) {
            return skipped("no C compiler for the library that replaces clock_gettime");
        }
        let clock = Self { library, offset };
        clock.set(-1_000_000_000);
        let shown = Command::new("date").arg("+%Y").envs(clock.environment()).output().unwrap();
        clock.set(0);
        let year: i32 = String::from_utf8_lossy(&shown.stdout).trim().parse().unwrap_or(i32::MAX);
        if year > 2010 {
            return skipped("the library that replaces clock_gettime does not load");
        }
        Some(clock)
    }

    /// The environment of a program with this clock.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD", text(&self.library)), ("TEST_CLOCK", text(&self.offset))]
    }

    /// Sets the clock to this many seconds after the real time.
    pub fn set(&self, seconds: i64) {
        let bytes = if cfg!(target_endian = "big") { seconds.to_be_bytes() } else { seconds.to_le_bytes() };
        let file = OpenOptions::new().write(true).open(&self.offset).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
    }
}

fn skipped(reason: &str) -> Option<Clock> {
    println!("SKIPPED: {reason}");
    assert!(std::env::var_os("REQUIRE_ALL").is_none_or(|value| value != "1"), "REQUIRE_ALL=1: {reason}");
    None
}
