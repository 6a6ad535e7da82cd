//! The decode of one Route Monitoring message in a format that all decoders share.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use holdfast::route::Family;

/// The result of one decoder.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The reason why it could not be decoded in full.
    pub(crate) refused: Option<String>,
    /// One line per route, as a multiset: sorted.
    pub(crate) routes: BTreeMap<Family, Vec<String>>,
    /// The attributes of the announced routes, by name. Empty where nothing is announced.
    pub(crate) attributes: BTreeMap<&'static str, String>,
}

impl Reading {
    pub(crate) fn refused(reason: impl Display) -> Self {
        Self { refused: Some(reason.to_string()), ..Self::default() }
    }

    pub(crate) fn route(&mut self, family: Family, action: Action, path_id: Option<u32>, nlri: impl Display) {
        let path_id = path_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let word = if action == Action::Announce { "announce" } else { "withdraw" };
        let routes = self.routes.entry(family).or_default();
        routes.push(format!("{word} {path_id} {nlri}"));
        routes.sort();
    }

    pub(crate) fn put(&mut self, name: &'static str, value: impl Display) {
        self.attributes.insert(name, value.to_string());
    }

    pub(crate) fn put_list<T>(&mut self, name: &'static str, values: &[T], text: impl Fn(&T) -> String) {
        if !values.is_empty() {
            self.put(name, values.iter().map(text).collect::<Vec<_>>().join(" "));
        }
    }

    /// The AS path in the usual text form.
    pub(crate) fn put_path<'a>(&mut self, segments: impl Iterator<Item = (u8, Vec<u32>)> + 'a) {
        let text = |(kind, asns): (u8, Vec<u32>)| {
            let join = |between| asns.iter().map(ToString::to_string).collect::<Vec<_>>().join(between);
            match kind {
                1 => format!("{{{}}}", join(",")),
                2 => join(" "),
                3 => format!("({})", join(" ")),
                _ => format!("[{}]", join(",")),
            }
        };
        self.put("as_path", segments.map(text).collect::<Vec<_>>().join(" "));
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Action {
    Announce,
    Withdraw,
}

/// A prefix with a route distinguisher and labels. The labels of a withdrawal are ignored (RFC 8277
/// section 2.4).
pub(crate) fn labelled(
    rd: Option<impl Display>,
    labels: &[u32],
    prefix: impl Display,
    action: Action,
) -> String {
    let rd = rd.map_or_else(String::new, |rd| format!("rd {rd} "));
    match action {
        Action::Announce => format!("{rd}{prefix} labels {labels:?}"),
        Action::Withdraw => format!("{rd}{prefix}"),
    }
}

/// The fields of EVPN routes of types 1 to 5.
#[derive(Debug, Default)]
pub(crate) struct Evpn {
    pub(crate) kind: u8,
    pub(crate) rd: String,
    pub(crate) esi: Option<[u8; 10]>,
    pub(crate) tag: Option<u32>,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) prefix: Option<String>,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) labels: Vec<u32>,
}

impl Evpn {
    pub(crate) fn text(mut self, action: Action) -> String {
        self.gateway = self.gateway.filter(|gateway| !gateway.is_unspecified());
        if action == Action::Withdraw {
            self.labels.clear();
        }
        let Self { kind, rd, esi, tag, mac, ip, prefix, gateway, labels } = self;
        format!("{kind} {rd} {esi:?} {tag:?} {mac:?} {ip:?} {prefix:?} {gateway:?} {labels:?}")
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
