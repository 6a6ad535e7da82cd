//! Mutation testing of the decoder and the session: does a test fail when the code is changed?
//!
//! ```text
//! cargo run --example mutants -- [--seed N] [--sample N] [--only TEXT] [--list]
//! ```
//!
//! Rebuilding for each of hundreds of mutants would take a day. Instead, all mutants are compiled into one
//! crate, each selected by an environment variable (`MUTANT=17`), and only the tests are run again:
//!
//! ```text
//! src/{wire,bmp,bgp,…}         ─► schema: `if crate::mutant(17) { a != b } else { a == b }`, …
//! tests/{decode,session,fuzz}  ─► a crate under target/mutants, built once; its tests run once per mutant
//! ```
//!
//! These modules depend on no other module of the package, which makes the small crate possible. A surviving
//! mutant needs a new test, or a reason in tests/mutants.md; the command fails if more than 5 % have neither.

#![allow(clippy::print_stdout, reason = "a command that prints its results")]

mod rig;
mod schema;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use rig::{Outcome, Rig};

/// Maximum share of mutants that may survive without a reason, in percent.
const MAX_UNEXPLAINED_PERCENT: usize = 5;

#[derive(Parser)]
#[command(about = "Mutation testing of the decoder and the session")]
struct Arguments {
    /// Seed of the sample: the same seed selects the same mutants of the same code
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of mutants; 0 for all
    #[arg(long, default_value_t = 400)]
    sample: usize,
    /// Only mutants whose description contains this text, such as src/bgp/mp.rs
    #[arg(long, default_value = "")]
    only: String,
    /// Print the sample without testing it
    #[arg(long)]
    list: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (rig, mutants) = Rig::write(root)?;
    let chosen = sample(&mutants, &arguments);
    println!("{} of {} mutants, seed {}", chosen.len(), mutants.len(), arguments.seed);
    if arguments.list {
        chosen.iter().for_each(|mutant| println!("{mutant}"));
        return Ok(ExitCode::SUCCESS);
    }
    let explained = fs::read_to_string(root.join("tests/mutants.md"))?;
    let binaries = rig.build()?;
    let (mut caught, mut timed_out, mut survivors) = (0, 0, Vec::new());
    for mutant in &chosen {
        match rig.try_mutant(&binaries, mutant.number)? {
            Outcome::Caught => caught += 1,
            Outcome::TimedOut => timed_out += 1,
            Outcome::Survived => {
                let reason =
                    if explained.contains(&format!("`{}`", mutant.name)) { "explained" } else { "NO TEST" };
                println!("survived, {reason}: {mutant}");
                survivors.push(reason == "explained");
            }
        }
    }
    let unexplained = survivors.iter().filter(|is_explained| !**is_explained).count();
    println!(
        "{} mutants: {caught} caught by a test, {timed_out} by the time limit, {} survived, {unexplained} \
         of them without a reason",
        chosen.len(),
        survivors.len()
    );
    Ok(if unexplained * 100 > chosen.len() * MAX_UNEXPLAINED_PERCENT {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The selected mutants, in the order of their numbers.
fn sample<'a>(mutants: &'a [schema::Mutant], arguments: &Arguments) -> Vec<&'a schema::Mutant> {
    let mut chosen: Vec<_> =
        mutants.iter().filter(|mutant| mutant.to_string().contains(&arguments.only)).collect();
    if arguments.sample > 0 {
        let mut state = arguments.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut keyed: Vec<_> = chosen
            .into_iter()
            .map(|mutant| {
                // SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (word ^ (word >> 31), mutant)
            })
            .collect();
        keyed.sort_by_key(|(key, mutant)| (*key, mutant.number));
        keyed.truncate(arguments.sample);
        chosen = keyed.into_iter().map(|(_, mutant)| mutant).collect();
        chosen.sort_by_key(|mutant| mutant.number);
    }
    chosen
}
