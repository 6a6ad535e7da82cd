//! `holdfast check-config`.

use std::io::{self, Write};

use crate::config::{self, Config, Typed};

pub(super) fn run(typed: &Typed, config: &Config, out: &mut impl Write) -> io::Result<()> {
    out.write_all(config::effective(typed, config).as_bytes())?;
    out.flush()
}
