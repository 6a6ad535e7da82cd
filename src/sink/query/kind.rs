//! Kinds of arguments: the notations that are accepted, and the form in which a value is sent.

use std::net::IpAddr;

use super::community;
use super::when::{self, Moment};

/// Words for a RIB view.
const VIEWS: &[&str] = &["adj-in-pre", "adj-in-post", "adj-out-pre", "adj-out-post", "loc-rib"];

/// The words for true and false that are shown.
const FLAGS: &[&str] = &["true", "false"];

/// Kind of a parameter, which determines the accepted notations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address.
    Address,
    /// An IP prefix without host bits.
    Prefix,
    /// One or more AS numbers.
    AsNumbers,
    /// A standard, large or extended community.
    Community,
    /// A MAC address.
    Mac,
    /// A peer, in the notations of the queries' parameter `peer`.
    Peer,
    /// The name of a collector.
    Collector,
    /// A RIB view.
    View,
    /// A point in time.
    Time,
    /// A duration greater than zero.
    Period,
    /// A duration, zero included.
    Duration,
    /// A duration greater than zero without months and years, which have no fixed length.
    Bucket,
    /// An integer from 1.
    Count,
    /// A number from 0 to 1.
    Share,
    /// True or false.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// An argument in the form in which it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Text that the server casts to the type of the parameter.
    Text(String),
    /// A time that is this interval before the present.
    Ago(String),
}

impl Kind {
    /// The accepted values, as a part of a sentence.
    #[must_use]
    pub fn accepted(self) -> String {
        match self {
            Self::Address => "an IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1",
            Self::Prefix => {
                "an IPv4 or IPv6 prefix without host bits, such as 192.0.2.0/24 or 2001:db8::/32; an \
                 address alone stands for its host route"
            }
            Self::AsNumbers => {
                "AS numbers separated by commas, such as 3356 or AS3356,AS1299 or 1.10 (asdot)"
            }
            Self::Community => {
                "a standard community (65000:100, or a name such as no-export), a large one (65000:1:2) or \
                 an extended one (RT:65000:100)"
            }
            Self::Mac => "a MAC address, such as 00:11:22:33:44:55, 00-11-22-33-44-55 or 0011.2233.4455",
            Self::Peer => {
                "a peer address, an AS number (AS65001), a BGP identifier (bgp-id=192.0.2.1), the name of a \
                 router, or an id of `holdfast query peers`; several of them, separated by blanks, must all \
                 match"
            }
            Self::Collector => "the name of a collector (COLLECTOR_ID)",
            Self::View => return one_of(VIEWS),
            Self::Time => {
                "a time, such as 2026-11-23, '2026-11-23 12:00', 2026-11-23T12:00:00+01:00, now, today or \
                 '2 hours ago'; UTC unless an offset is given"
            }
            Self::Period => {
                "a duration greater than zero, such as '6 hours', 90m, 1d12h, '2 weeks' or 01:30:00"
            }
            Self::Duration => "a duration, such as 0, '6 hours', 90m, 1d12h, '2 weeks' or 01:30:00",
            Self::Bucket => {
                "a duration greater than zero in weeks or shorter units, such as '5 minutes', 1h or 1d"
            }
            Self::Count => "an integer from 1",
            Self::Share => "a number from 0 to 1, such as 0.75, or a percentage such as 75%",
            Self::Flag => "true or false",
            Self::Choice(words) => return one_of(words),
        }
        .to_owned()
    }

    /// The accepted words of a kind that has a fixed set of them.
    #[must_use]
    pub const fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Self::View => Some(VIEWS),
            Self::Flag => Some(FLAGS),
            Self::Choice(words) => Some(words),
            _ => None,
        }
    }

    /// Whether a text is an argument of this kind. Every text may be a peer or
    /// a collector.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        self.parse(text).is_ok()
    }

    /// Parses an argument. An error is the reason in addition to [`Self::accepted`], or empty.
    pub(super) fn parse(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let value = match self {
            Self::Address => address(text)?,
            Self::Prefix => prefix(text)?,
            Self::AsNumbers => as_numbers(text)?,
            Self::Community => community::parse(text)?,
            Self::Mac => mac(text).ok_or_else(String::new)?,
            // Words are compared with the peers of the database (peers.rs).
            Self::Peer if text.is_empty() => return Err(String::new()),
            Self::Collector if text.is_empty() => return Err(String::new()),
            Self::Peer | Self::Collector => text.to_owned(),
            Self::View => choice(text, VIEWS)?,
            Self::Time => match when::time(text)? {
                Moment::At(time) => time,
                Moment::Ago(interval) => return Ok(Value::Ago(interval)),
            },
            Self::Period => when::span(text, false, true)?,
            Self::Duration => when::span(text, true, true)?,
            Self::Bucket => when::span(text, false, false)?,
            Self::Count => count(text)?,
            Self::Share => share(text)?,
            Self::Flag => flag(text)?,
            Self::Choice(words) => choice(text, words)?,
        };
        Ok(Value::Text(value))
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.join(", "),
    }
}

fn address(text: &str) -> Result<String, String> {
    let (bare, length) = text.split_once('/').map_or((text, None), |(bare, length)| (bare, Some(length)));
    let address: IpAddr = bare.parse().map_err(|_| String::new())?;
    let bits = if address.is_ipv4() { "32" } else { "128" };
    match length {
        None => Ok(address.to_string()),
        Some(length) if length == bits => Ok(address.to_string()),
        Some(_) => Err("it has a prefix length".to_owned()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let (bare, length) = text.split_once('/').map_or((text, None), |(bare, length)| (bare, Some(length)));
    let address: IpAddr = bare.parse().map_err(|_| String::new())?;
    let (number, bits) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let length = match length {
        None => bits,
        Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
            .parse()
            .ok()
            .filter(|length| *length <= bits)
            .ok_or_else(|| format!("the length of the prefix must be at most {bits}"))?,
        Some(_) => return Err("the length of the prefix is not a number".to_owned()),
    };
    let network = number & !u128::MAX.checked_shr(length).unwrap_or(0);
    if network == number {
        return Ok(format!("{address}/{length}"));
    }
    let network = match address {
        IpAddr::V4(_) => IpAddr::from(u32::try_from(network >> 96).unwrap_or(0).to_be_bytes()),
        IpAddr::V6(_) => IpAddr::from(network.to_be_bytes()),
    };
    Err(format!("it has host bits; the prefix is {network}/{length}"))
}

/// An AS number in asplain or asdot notation, with or without the letters AS.
pub(super) fn as_number(text: &str) -> Option<u32> {
    let digits = match text.get(..2) {
        Some(letters) if letters.eq_ignore_ascii_case("as") => text.get(2..).unwrap_or_default(),
        _ => text,
    };
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    match digits.split_once('.') {
        None => number(digits),
        Some((high, low)) => {
            let half = |part| number(part).filter(|half| *half <= u32::from(u16::MAX));
            Some((half(high)? << 16) | half(low)?)
        }
    }
}

fn as_numbers(text: &str) -> Result<String, String> {
    let list = text.strip_prefix('{').and_then(|list| list.strip_suffix('}')).unwrap_or(text);
    let words = list.split(|letter: char| letter == ',' || letter.is_whitespace());
    let mut numbers = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        let number = as_number(word).ok_or_else(|| format!("\"{word}\" is no AS number"))?;
        numbers.push(number.to_string());
    }
    if numbers.is_empty() {
        return Err(String::new());
    }
    Ok(format!("{{{}}}", numbers.join(",")))
}

/// The MAC address in the form of the database: lower case, with colons.
fn mac(text: &str) -> Option<String> {
    let (separator, group) = [(':', 2), ('-', 2), ('.', 4)]
        .into_iter()
        .find(|(separator, _)| text.contains(*separator))
        .unwrap_or((':', 12));
    let groups: Vec<&str> = text.split(separator).collect();
    let is_hex = |part: &&str| part.len() == group && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if groups.len() * group != 12 || !groups.iter().all(is_hex) {
        return None;
    }
    let digits: Vec<char> = groups.concat().to_lowercase().chars().collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    Some(pairs.join(":"))
}

fn count(text: &str) -> Result<String, String> {
    match text.parse::<i64>() {
        Ok(number) if number >= 1 => Ok(number.to_string()),
        Ok(_) => Err("it is less than 1".to_owned()),
        Err(_) => Err(String::new()),
    }
}

fn share(text: &str) -> Result<String, String> {
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = digits.trim().parse().map_err(|_| String::new())?;
    if !is_plain || !(0.0..=scale).contains(&number) {
        return Err(String::new());
    }
    Ok((number / scale).to_string())
}

fn flag(text: &str) -> Result<String, String> {
    match text.to_lowercase().as_str() {
        "true" | "t" | "yes" | "on" | "1" => Ok("true".to_owned()),
        "false" | "f" | "no" | "off" | "0" => Ok("false".to_owned()),
        _ => Err(String::new()),
    }
}

/// One of these words, whatever its case, with `_` for `-`.
fn choice(text: &str, words: &[&str]) -> Result<String, String> {
    let given = text.to_lowercase().replace('_', "-");
    words.iter().find(|word| **word == given).map(|word| (*word).to_owned()).ok_or_else(String::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accepts(kind: Kind, pairs: &[(&str, &str)]) {
        for (text, sent) in pairs {
            assert_eq!(kind.parse(text), Ok(Value::Text((*sent).to_owned())), "{text}");
        }
    }

    #[track_caller]
    fn rejects(kind: Kind, pairs: &[(&str, &str)]) {
        for (text, reason) in pairs {
            assert_eq!(kind.parse(text), Err((*reason).to_owned()), "{text}");
        }
    }

    #[test]
    fn addresses_and_prefixes_are_read_in_each_notation() {
        accepts(
            Kind::Address,
            &[("192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0::1", "2001:db8::1"), ("192.0.2.1/32", "192.0.2.1")],
        );
        rejects(
            Kind::Address,
            &[("192.0.2", ""), ("192.0.2.1/24", "it has a prefix length"), ("x", ""), ("", "")],
        );
        accepts(
            Kind::Prefix,
            &[
                ("192.0.2.0/24", "192.0.2.0/24"),
                ("2001:DB8::/32", "2001:db8::/32"),
                ("192.0.2.1", "192.0.2.1/32"),
                ("0.0.0.0/0", "0.0.0.0/0"),
                ("::/0", "::/0"),
            ],
        );
        rejects(
            Kind::Prefix,
            &[
                ("192.0.2.1/24", "it has host bits; the prefix is 192.0.2.0/24"),
                ("2001:db8::1/64", "it has host bits; the prefix is 2001:db8::/64"),
                ("192.0.2.0/33", "the length of the prefix must be at most 32"),
                ("192.0.2.0/x", "the length of the prefix is not a number"),
                ("10/8", ""),
            ],
        );
    }

    #[test]
    fn as_numbers_and_mac_addresses_are_read_in_each_notation() {
        accepts(
            Kind::AsNumbers,
            &[
                ("3356", "{3356}"),
                ("AS3356,as1299", "{3356,1299}"),
                ("{1,2}", "{1,2}"),
                ("1.10 5", "{65546,5}"),
            ],
        );
        rejects(
            Kind::AsNumbers,
            &[("", ""), ("AS", "\"AS\" is no AS number"), ("4294967296", "\"4294967296\" is no AS number")],
        );
        let mac = "00:11:22:aa:bb:cc";
        accepts(
            Kind::Mac,
            &[
                ("00:11:22:AA:BB:CC", mac),
                ("00-11-22-aa-bb-cc", mac),
                ("0011.22aa.bbcc", mac),
                ("001122aabbcc", mac),
            ],
        );
        rejects(Kind::Mac, &[("0:1:2:3:4:5", ""), ("0011.2233", ""), ("00:11:22:33:44:5g", "")]);
    }

    #[test]
    fn numbers_and_words_are_read_within_their_ranges() {
        accepts(Kind::Count, &[("1", "1"), ("1000", "1000")]);
        rejects(Kind::Count, &[("0", "it is less than 1"), ("-5", "it is less than 1"), ("many", "")]);
        accepts(Kind::Share, &[("0.75", "0.75"), ("75%", "0.75"), ("0", "0"), ("1", "1")]);
        rejects(Kind::Share, &[("1.5", ""), ("101%", ""), ("nan", ""), ("", ""), ("-0.1", "")]);
        accepts(Kind::Flag, &[("TRUE", "true"), ("no", "false")]);
        rejects(Kind::Flag, &[("maybe", "")]);
        accepts(Kind::View, &[("ADJ_IN_PRE", "adj-in-pre")]);
        rejects(Kind::View, &[("adj-rib-in", "")]);
        assert_eq!(Kind::Choice(&["prefix", "peer", "as"]).accepted(), "prefix, peer or as");
    }
}
