//! The pages for people: HTML from the status document, with embedded style and script.

mod assets;
mod layout;

pub(in crate::http) use layout::{Section, layout};
