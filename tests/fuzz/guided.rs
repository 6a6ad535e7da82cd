//! The same targets for a coverage-guided fuzzer. `tools/fuzz` builds this file as a separate program outside
//! the package, because only this program needs the fuzzer's library.
//!
//! - `guided run TARGET`: reads inputs from the fuzzer.
//! - `guided seed TARGET FOLDER`: writes valid initial inputs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod generate;
mod mutate;
mod session;
mod targets;

use std::path::Path;

const SEEDS: u64 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let named = |name: &str| targets::ALL.into_iter().find(|target| target.name == name).expect("a target");
    match words[..] {
        ["run", name] => {
            let target = named(name);
            afl::fuzz!(|input: &[u8]| target.check(input));
        }
        ["seed", name, folder] => {
            let target = named(name);
            let made = (0..SEEDS).map(|seed| (target.make)(&mut mutate::Rng(seed)));
            for (number, input) in made.chain(target.kept()).filter(|input| !input.is_empty()).enumerate() {
                std::fs::write(Path::new(folder).join(number.to_string()), input).unwrap();
            }
        }
        _ => panic!("guided run TARGET | guided seed TARGET FOLDER"),
    }
}
