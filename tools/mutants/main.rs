//! Mutation testing of the decoder and the session: is there a test that notices when the code is wrong?
//!
//! ```text
//! cargo run --example mutants -- [--seed N] [--sample N] [--only TEXT] [--list]
//! ```
//!
//! Building the program anew for each of hundreds of mutants would take a day. So all of them are built at once, each
//! behind a question to the environment (`MUTANT=17`), and only the tests run anew:
//!
//! ```text
//! src/{wire,bmp,bgp,route,session,record} ─► schema: `if crate::mutant(17) { a != b } else { a == b }`, …
//! tests/{decode,session,fuzz}             ─► a crate under target/mutants, built once, its tests run per mutant
//! ```
//!
//! The modules know nothing of the rest of the package, which is what makes the small crate possible. A survivor is
//! either a missing test, or argued for in tests/mutants.md; without an argument for at least 95 of 100, this fails.

#![allow(clippy::print_stdout, reason = "a command that says what it found")]

mod rig;
mod schema;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use rig::{Outcome, Rig};

/// Of the mutants, this many percent at most may survive without an argument.
const UNARGUED_PERCENT_MAX: usize = 5;

#[derive(Parser)]
#[command(about = "Mutation testing of the decoder and the session")]
struct Arguments {
    /// Where the sample begins: the same seed takes the same mutants of the same code
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many mutants; 0: all
    #[arg(long, default_value_t = 400)]
    sample: usize,
    /// Only those whose line contains this, such as src/bgp/mp.rs
    #[arg(long, default_value = "")]
    only: String,
    /// Print the sample and stop
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
    let argued = fs::read_to_string(root.join("tests/mutants.md"))?;
    let binaries = rig.build()?;
    let (mut caught, mut stuck, mut survivors) = (0, 0, Vec::new());
    for mutant in &chosen {
        match rig.try_mutant(&binaries, mutant.number)? {
            Outcome::Caught => caught += 1,
            Outcome::Stuck => stuck += 1,
            Outcome::Survived => {
                let reason =
                    if argued.contains(&format!("`{}`", mutant.name)) { "argued" } else { "NO TEST" };
                println!("survived, {reason}: {mutant}");
                survivors.push(reason == "argued");
            }
        }
    }
    let unargued = survivors.iter().filter(|is_argued| !**is_argued).count();
    println!(
        "{} mutants: {caught} caught by a test, {stuck} did not end and so were caught, {} survived, {unargued} of them \
         without an argument",
        chosen.len(),
        survivors.len()
    );
    Ok(if unargued * 100 > chosen.len() * UNARGUED_PERCENT_MAX {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The mutants asked for, in the order of their numbers.
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
