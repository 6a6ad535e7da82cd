//! The command `holdfast check-config`.

use std::io::{self, Write};

use crate::config::{self, Config, RawSettings};

pub(super) fn run(raw: &RawSettings, config: &Config, out: &mut impl Write) -> io::Result<()> {
    out.write_all(config::effective(raw, config).as_bytes())?;
    out.flush()
}
