//! Start and stop order, and the command line.

pub mod cli;

pub fn run(_: &crate::config::Config) -> Result<(), std::io::Error> {
    Ok(())
}
