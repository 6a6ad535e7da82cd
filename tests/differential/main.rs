//! Comparison of the decoder with other decoders, message by message: the same multiset of routes and the
//! same attributes.
//!
//! The other decoders are NetGauze (`netgauze-bmp-pkt`), bgpkit (`bgpkit-parser`) and tshark. tshark decodes
//! the small streams; `captures.rs` compares the recordings of the repository with it. Each decoder is
//! compared in the families and attributes that it supports. Every disagreement is a line in `verdicts.rs`
//! with the decoder that is right and the section of the RFC. A disagreement that is not listed fails the
//! test, and so does a listed one that no longer occurs. `generated.rs`, `generated_bgpkit.rs` and
//! `generated_version_4.rs` compare in the other direction: Holdfast decodes messages that the other
//! libraries encode.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails should panic, and prints what it compared"
)]

#[path = "../common/mod.rs"]
mod common;

mod bgpkit;
mod generated;
mod generated_bgpkit;
mod generated_version_4;
mod netgauze;
mod ours;
mod reading;
mod streams;
mod tshark;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdfast::bgp;
use holdfast::bmp::{self, Message};
use holdfast::route::Family;

use reading::Reading;
use streams::Stream;

/// Decoder, stream, and kind of a disagreement.
pub(crate) type Key = (&'static str, String, String);
/// Number of messages per disagreement.
pub(crate) type Counts = BTreeMap<Key, usize>;

/// Numbers of compared items, and the disagreements.
#[derive(Default)]
struct Totals {
    messages: usize,
    routes: usize,
    attributes: usize,
    disagreements: Counts,
    examples: BTreeMap<Key, String>,
}

impl Totals {
    fn disagree(&mut self, judge: &'static str, stream: &Stream, kind: String, example: String) {
        let key = (judge, stream.name.clone(), kind);
        *self.disagreements.entry(key.clone()).or_default() += 1;
        self.examples.entry(key).or_insert(example);
    }

    fn compare(
        &mut self,
        judge: &'static Judge,
        stream: &Stream,
        index: usize,
        ours: &Reading,
        theirs: &Reading,
    ) {
        self.messages += 1;
        let key = |kind: String| (judge.name, stream, kind);
        if ours.refused.is_some() && theirs.refused.is_some() {
            return;
        }
        if ours.refused.is_some() != theirs.refused.is_some() {
            let (who, why) = match (&ours.refused, &theirs.refused) {
                (Some(why), _) => ("refused only by Holdfast", why),
                (_, Some(why)) => ("refused only by the other", why),
                _ => return,
            };
            let (name, stream, kind) = key(who.to_owned());
            return self.disagree(name, stream, kind, format!("message {index}: {why}; ours {ours:?}"));
        }
        for family in judge.families.iter().map(|(afi, safi)| Family { afi: *afi, safi: *safi }) {
            let [ours, theirs] =
                [ours, theirs].map(|reading| reading.routes.get(&family).cloned().unwrap_or_default());
            self.routes += ours.len();
            if ours != theirs {
                let (name, stream, kind) = key(format!("routes {family}"));
                self.disagree(
                    name,
                    stream,
                    kind,
                    format!("message {index}: ours {ours:?}, theirs {theirs:?}"),
                );
            }
        }
        if theirs.attributes.is_empty() {
            return;
        }
        let names = ours.attributes.keys().chain(theirs.attributes.keys());
        let names: BTreeSet<_> = names.filter(|name| !judge.silent.contains(name)).collect();
        for name in names {
            let [ours, theirs] = [ours, theirs].map(|reading| reading.attributes.get(name));
            self.attributes += 1;
            if ours != theirs {
                let (judge, stream, kind) = key((*name).to_owned());
                self.disagree(
                    judge,
                    stream,
                    kind,
                    format!("message {index}: ours {ours:?}, theirs {theirs:?}"),
                );
            }
        }
    }
}

static TSHARK: Judge = Judge { name: "tshark", families: &tshark::FAMILIES, silent: &tshark::NOT_COMPARED };

/// Another decoder, and what is compared with it.
struct Judge {
    name: &'static str,
    /// (AFI, SAFI) of the compared families.
    families: &'static [(u16, u8)],
    /// Attributes that are not compared.
    silent: &'static [&'static str],
}

static NETGAUZE: Judge = Judge { name: "netgauze", families: &netgauze::FAMILIES, silent: &[] };
static BGPKIT: Judge =
    Judge { name: "bgpkit", families: &bgpkit::FAMILIES, silent: &[bgpkit::NOT_COMPARED, "aigp"] };

impl Judge {
    fn knows(&self, families: &[Family]) -> bool {
        families.iter().all(|family| self.families.contains(&(family.afi, family.safi)))
    }
}

/// The families in the multiprotocol attributes of a message.
fn families(message: &[u8]) -> Vec<Family> {
    let Ok(Message::RouteMonitoring { pdu, .. }) = bmp::decode(message) else { return Vec::new() };
    let Ok(update) = bgp::split(pdu) else { return Vec::new() };
    let reach = update.mp_reach.map(|reach| reach.family);
    reach.into_iter().chain(update.mp_unreach.map(|unreach| unreach.family)).collect()
}

/// Decodes one stream with all decoders; returns its number of messages. `before` is the number of messages
/// in the streams before it, by which tshark's readings are indexed.
fn replay(
    totals: &mut Totals,
    stream: &Stream,
    before: usize,
    tshark: Option<&HashMap<usize, Reading>>,
) -> usize {
    let (mut ours, mut netgauze) = (ours::Ours::new(), netgauze::NetGauze::new());
    let mut messages = 0;
    for (index, message) in stream.messages().enumerate() {
        messages += 1;
        let is_route = message[5] == 0;
        if is_route && index % stream.every != 0 {
            continue;
        }
        let (mine, theirs) = (ours.read(message), netgauze.read(message));
        if !is_route {
            continue;
        }
        let families = families(message);
        if NETGAUZE.knows(&families) {
            totals.compare(&NETGAUZE, stream, index, &mine, &theirs);
        }
        if BGPKIT.knows(&families) {
            totals.compare(&BGPKIT, stream, index, &mine, &bgpkit::read(message));
        }
        if TSHARK.knows(&families)
            && let Some(theirs) = tshark.and_then(|readings| readings.get(&(before + index)))
        {
            totals.compare(&TSHARK, stream, index, &mine, theirs);
        }
    }
    messages
}

/// Compares the streams, prints the totals, and compares the disagreements with the table.
fn judge(streams: &[Stream], tshark: Option<&HashMap<usize, Reading>>) -> Totals {
    let mut totals = Totals::default();
    let mut before = 0;
    for stream in streams {
        before += replay(&mut totals, stream, before, tshark);
    }
    println!(
        "{} streams: compared {} messages, {} routes and {} attributes; {} disagreements, all with a verdict",
        streams.len(),
        totals.messages,
        totals.routes,
        totals.attributes,
        totals.disagreements.values().sum::<usize>()
    );
    let unlisted = verdicts::check(&totals.disagreements, streams, tshark.is_some());
    let texts = unlisted.iter().map(|(key, text)| {
        format!("{text}\n    first: {}", totals.examples.get(key).map_or("-", String::as_str))
    });
    assert!(unlisted.is_empty(), "\n{}", texts.collect::<Vec<_>>().join("\n"));
    totals
}

#[test]
fn our_own_captures_read_the_same_by_other_decoders() {
    let totals = judge(&streams::captures(), None);
    assert!(totals.routes > 40_000, "only {} routes compared", totals.routes);
}

#[test]
fn our_own_malformed_updates_read_the_same_by_other_decoders_or_have_a_verdict() {
    let streams = streams::malformed();
    let test = "our_own_malformed_updates_read_the_same_by_other_decoders_or_have_a_verdict";
    let totals = judge(&streams, tshark::read(test, &streams).as_ref());
    assert!(totals.messages > 15, "only {} messages judged", totals.messages);
}

#[test]
fn streams_of_many_vendors_read_the_same_by_other_decoders() {
    let Some(streams) = streams::corpus() else { return };
    let totals = judge(
        &streams,
        tshark::read("streams_of_many_vendors_read_the_same_by_other_decoders", &streams).as_ref(),
    );
    assert!(totals.routes > 6_000, "only {} routes compared", totals.routes);
}

#[test]
fn hostile_streams_read_the_same_by_other_decoders_or_have_a_verdict() {
    let Some(streams) = streams::bad() else { return };
    let totals = judge(
        &streams,
        tshark::read("hostile_streams_read_the_same_by_other_decoders_or_have_a_verdict", &streams).as_ref(),
    );
    assert!(totals.messages > 50, "only {} messages judged", totals.messages);
}

#[test]
fn vectors_of_other_projects_read_the_same_by_other_decoders_or_have_a_verdict() {
    let Some(streams) = streams::updates() else { return };
    let totals = judge(
        &streams,
        tshark::read("vectors_of_other_projects_read_the_same_by_other_decoders_or_have_a_verdict", &streams)
            .as_ref(),
    );
    assert!(totals.messages > 300, "only {} messages judged", totals.messages);
    let lost: BTreeSet<_> = verdicts::lost(&totals.disagreements).collect();
    println!(
        "{} of {} vectors are decoded correctly; not: {lost:?}",
        streams.len() - lost.len(),
        streams.len()
    );
    assert!(lost.len() * 100 <= streams.len() * 2, "more than 2 % of the vectors: {lost:?}");
}

#[test]
fn large_frr_captures_read_the_same_by_other_decoders() {
    let Some(streams) = streams::frr() else { return };
    let totals = judge(&streams, None);
    assert!(totals.routes > 100_000, "only {} routes compared", totals.routes);
}
