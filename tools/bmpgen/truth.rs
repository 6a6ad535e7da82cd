//! Converts a line of the ground truth to the names and formats of the `route_updates` columns.
//!
//! A line of the ground truth has the format of an independent decoder (tshark): AS paths as segments,
//! extended communities and route distinguishers as bytes. The columns of `route_updates` have them as text.
//! The conversion follows the RFCs and shares no code with the collector. Values of an unknown type are left
//! unchanged, so that they are reported as a difference.

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// Key in the ground truth, column in the database.
const RENAMED: [(&str, &str); 8] = [
    ("peer_address", "bgp_peer_ip"),
    ("peer_asn", "bgp_peer_asn"),
    ("peer_bgp_id", "bgp_id"),
    ("timestamp", "router_time"),
    ("rd", "evpn_rd"),
    ("evpn_prefix", "prefix"),
    ("as_path", "as_path_text"),
    ("ext_communities", "extended_communities"),
];

/// A line of the ground truth with the names and formats of `route_updates`.
pub(crate) fn canonical(mut object: Object) -> Object {
    // The flags repeat `rib`, and the AS number width of an AS path that is already decoded.
    object.remove("peer_flags");
    for (from, to) in RENAMED {
        match object.remove(from) {
            None | Some(Value::Null) => {}
            Some(value) => drop(object.insert(to.to_owned(), value)),
        }
    }
    convert(&mut object, "peer_distinguisher", |value| Some(distinguisher(octets(value)?)));
    convert(&mut object, "as_path_text", path);
    if let Some(Value::Array(communities)) = object.get_mut("extended_communities") {
        for community in communities {
            if let Some(text) = octets(community).and_then(extended_community) {
                *community = Value::String(text);
            }
        }
    }
    object
}

/// Replaces a value by its text, if it has one.
fn convert(object: &mut Object, key: &str, text: impl FnOnce(&Value) -> Option<String>) {
    if let Some(value) = object.get_mut(key)
        && let Some(text) = text(value)
    {
        *value = Value::String(text);
    }
}

/// Eight octets from sixteen hexadecimal digits.
fn octets(value: &Value) -> Option<[u8; 8]> {
    let text = value.as_str().filter(|text| text.len() == 16)?;
    u64::from_str_radix(text, 16).ok().map(u64::to_be_bytes)
}

/// A route distinguisher (RFC 4364 section 4.2).
fn distinguisher([high, kind, a, b, c, d, e, f]: [u8; 8]) -> String {
    match (high, kind) {
        (0, 1) => format!("{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, f])),
        (0, 2) => {
            let asn = u32::from_be_bytes([a, b, c, d]);
            let mark = if asn < 1 << 16 { "L" } else { "" };
            format!("{asn}{mark}:{}", u16::from_be_bytes([e, f]))
        }
        _ => format!("{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
    }
}

/// A route target (RFC 4360 section 4, RFC 5668) or an ES-Import route target (RFC 7432 section 7.6).
fn extended_community([kind, sub, a, b, c, d, e, f]: [u8; 8]) -> Option<String> {
    match (kind, sub) {
        (0..=2, 2) => Some(format!("RT:{}", distinguisher([0, kind, a, b, c, d, e, f]))),
        (6, 2) => Some(format!("EVPN-ES-Import:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")),
        _ => None,
    }
}

/// An AS path in the usual notation: `1 2 {3,4}`.
fn path(segments: &Value) -> Option<String> {
    let texts = segments.as_array()?.iter().map(|segment| {
        let [kind, numbers] = segment.as_array()?.as_slice() else { return None };
        let numbers: Vec<_> = numbers.as_array()?.iter().map(ToString::to_string).collect();
        Some(match kind.as_str()? {
            "AS_SEQUENCE" => numbers.join(" "),
            "AS_SET" => format!("{{{}}}", numbers.join(",")),
            "AS_CONFED_SEQUENCE" => format!("({})", numbers.join(" ")),
            "AS_CONFED_SET" => format!("[{}]", numbers.join(",")),
            _ => return None,
        })
    });
    Some(texts.collect::<Option<Vec<_>>>()?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_ground_truth_is_converted_to_columns() {
        let truth = r#"{"peer_flags":64,"peer_address":"192.0.2.1","peer_distinguisher":"0001c00002010064",
            "timestamp":7,"rd":null,"evpn_prefix":"10.0.0.0/8",
            "as_path":[["AS_SEQUENCE",[65001,4200000000]],["AS_SET",[1,2]]],
            "ext_communities":["0002fdea00000064","0602aabbccddee01","030c000000000008"]}"#;
        let expected = r#"{"bgp_peer_ip":"192.0.2.1","peer_distinguisher":"192.0.2.1:100","router_time":7,
            "prefix":"10.0.0.0/8","as_path_text":"65001 4200000000 {1,2}",
            "extended_communities":["RT:65002:100","EVPN-ES-Import:aa:bb:cc:dd:ee:01","030c000000000008"]}"#;
        let object = |text| serde_json::from_str::<Object>(text).unwrap();
        assert_eq!(canonical(object(truth)), object(expected));
    }
}
