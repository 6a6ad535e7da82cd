//! The PROXY protocol, version 2: the header in which a proxy states the source of a connection. Pure.
//!
//! ```text
//!  0        12        13         14       16
//!  +--------+---------+----------+--------+-------------------------------+----------+
//!  | magic  | version | family   | length | source, destination, ports    | TLVs     |
//!  |        | command | protocol |        | 12 bytes (IPv4), 36 (IPv6)    | (skipped)|
//!  +--------+---------+----------+--------+-------------------------------+----------+
//! ```
//!
//! The specification is `proxy-protocol.txt` of HAProxy, section 2.2. Only TCP over IPv4 and IPv6 is
//! accepted: with another family the source of the router would be unknown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first 12 bytes of a header.
pub const MAGIC: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Length of the part of a header before the addresses.
const FIXED_BYTES: usize = 16;

/// Maximum length of a header, including TLVs. The headers of HAProxy with all its TLVs are shorter than a
/// kilobyte.
pub const HEADER_BYTES_MAX: usize = 4_096;

/// The first bytes of a header of version 1, which is text.
const VERSION_1: &[u8] = b"PROXY ";

/// The contents of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy itself opened the connection, to check whether this end is alive.
    Local,
    /// Address and port from which the router connected to the proxy.
    Source(SocketAddr),
}

/// The result of reading the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A valid beginning; the header has at least this number of bytes, which is more than were given.
    Incomplete(usize),
    /// A whole header.
    Complete {
        /// Its contents.
        header: Header,
        /// Its length; what follows belongs to the router.
        bytes: usize,
    },
}

/// The connection does not begin with an acceptable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The first bytes are those of another protocol.
    #[error(
        "no PROXY header (first byte 0x{0:02x}): the address is in BMP_PROXY_FROM; connections from it must \
         begin with a header of version 2"
    )]
    Missing(u8),
    /// A header of version 1.
    #[error("PROXY header of version 1 (text): configure the proxy to send version 2 (send-proxy-v2)")]
    Version1,
    /// The version is not 2.
    #[error("PROXY header of version {0}: expected 2")]
    Version(u8),
    /// The command is neither LOCAL nor PROXY.
    #[error("PROXY header with the unknown command {0}")]
    Command(u8),
    /// The connection to the proxy was not TCP over IPv4 or IPv6.
    #[error("PROXY header with address family and protocol 0x{0:02x}: expected TCP over IPv4 or IPv6")]
    Family(u8),
    /// The header is too short for its addresses, or longer than [`HEADER_BYTES_MAX`].
    #[error("PROXY header with the impossible length {0}")]
    Length(u16),
}

/// Reads the header at the beginning of `bytes`.
///
/// # Errors
/// The bytes are not the beginning of a header, or of one that names no TCP source.
pub fn parse(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let common = bytes.len().min(MAGIC.len());
    if bytes.get(..common) != MAGIC.get(..common) {
        return missing(bytes);
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(Progress::Incomplete(FIXED_BYTES));
    };
    let [.., version_and_command, family, high, low] = *fixed;
    let (version, command) = (version_and_command >> 4, version_and_command & 0x0f);
    if version != 2 {
        return Err(ProxyError::Version(version));
    }
    if command > 1 {
        return Err(ProxyError::Command(command));
    }
    let length = u16::from_be_bytes([high, low]);
    let total = FIXED_BYTES + usize::from(length);
    if total > HEADER_BYTES_MAX {
        return Err(ProxyError::Length(length));
    }
    // Before the addresses arrive, so that an unsupported family is reported at once.
    let addresses = match (command, family) {
        (0, _) => 0,
        (_, 0x11) => 12,
        (_, 0x21) => 36,
        _ => return Err(ProxyError::Family(family)),
    };
    if usize::from(length) < addresses {
        return Err(ProxyError::Length(length));
    }
    let Some(rest) = rest.get(..usize::from(length)) else { return Ok(Progress::Incomplete(total)) };
    let header = source(addresses, rest).map_or(Header::Local, Header::Source);
    Ok(Progress::Complete { header, bytes: total })
}

/// The source in an address block of this length; `None` without addresses.
fn source(addresses: usize, block: &[u8]) -> Option<SocketAddr> {
    let (address, port) = match addresses {
        12 => (IpAddr::V4(Ipv4Addr::from(*block.first_chunk::<4>()?)), block.get(8..10)?),
        36 => (IpAddr::V6(Ipv6Addr::from(*block.first_chunk::<16>()?)), block.get(32..34)?),
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), u16::from_be_bytes(*port.first_chunk()?)))
}

/// The result for bytes that are not the beginning of the magic.
fn missing(bytes: &[u8]) -> Result<Progress, ProxyError> {
    if bytes.starts_with(VERSION_1) {
        return Err(ProxyError::Version1);
    }
    if VERSION_1.starts_with(bytes) {
        return Ok(Progress::Incomplete(VERSION_1.len()));
    }
    Err(ProxyError::Missing(bytes.first().copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2 with the command PROXY.
    fn header(source: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
        let (family, block) = match source.ip() {
            IpAddr::V4(address) => (0x11, [address.octets().as_slice(), &[192, 0, 2, 9]].concat()),
            IpAddr::V6(address) => (0x21, [address.octets(), [9; 16]].concat()),
        };
        let block =
            [block.as_slice(), &source.port().to_be_bytes(), &11_019_u16.to_be_bytes(), tlvs].concat();
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [MAGIC.as_slice(), &[0x21, family], &length, &block].concat()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_source_is_read_and_what_follows_is_left() {
        for source in ["192.0.2.1:40001", "[2001:db8::1]:40002"] {
            for tlvs in [&[][..], &[4, 0, 3, 1, 2, 3]] {
                let bytes = header(at(source), tlvs);
                let complete = Progress::Complete { header: Header::Source(at(source)), bytes: bytes.len() };
                assert_eq!(parse(&bytes), Ok(complete));
                assert_eq!(parse(&[&bytes, &[3, 0, 0][..]].concat()), Ok(complete));
            }
        }
        let mapped = parse(&header(at("[::ffff:192.0.2.1]:7"), &[]));
        assert!(matches!(mapped, Ok(Progress::Complete { header: Header::Source(source), .. })
            if source == at("192.0.2.1:7")));
    }

    #[test]
    fn a_health_check_of_the_proxy_has_no_source() {
        for (family, block) in [(0x00, 0_u8), (0x11, 12), (0x21, 36), (0xff, 3)] {
            let mut bytes = [MAGIC.as_slice(), &[0x20, family, 0, block]].concat();
            bytes.resize(16 + usize::from(block), 1);
            let bytes_read = bytes.len();
            assert_eq!(parse(&bytes), Ok(Progress::Complete { header: Header::Local, bytes: bytes_read }));
        }
    }

    #[test]
    fn what_is_no_acceptable_header_is_named() {
        let changed = |index: usize, byte: u8| {
            let mut bytes = header(at("192.0.2.1:1"), &[]);
            bytes[index] = byte;
            parse(&bytes)
        };
        assert_eq!(changed(12, 0x31), Err(ProxyError::Version(3)));
        assert_eq!(changed(12, 0x22), Err(ProxyError::Command(2)));
        assert_eq!(changed(13, 0x12), Err(ProxyError::Family(0x12)));
        assert_eq!(changed(13, 0x00), Err(ProxyError::Family(0)));
        assert_eq!(changed(13, 0x21), Err(ProxyError::Length(12)));
        assert_eq!(changed(15, 11), Err(ProxyError::Length(11)));
        assert_eq!(changed(14, 0xff), Err(ProxyError::Length(0xff0c)));
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1"), Err(ProxyError::Version1));
        assert_eq!(parse(b"PRO"), Ok(Progress::Incomplete(6)));
        assert_eq!(parse(&[3, 0, 0, 0, 6, 4]), Err(ProxyError::Missing(3)));
        assert_eq!(parse(&[0x16, 3, 1]), Err(ProxyError::Missing(0x16)));
    }

    proptest! {
        #[test]
        fn every_beginning_asks_for_more_and_never_for_what_follows(
            address: [u8; 16],
            is_ipv4: bool,
            port: u16,
            tlvs in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let [a, b, c, d, ..] = address;
            let ip = if is_ipv4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(address) };
            let bytes = header(SocketAddr::new(ip, port), &tlvs);
            for length in 0..bytes.len() {
                let Ok(Progress::Incomplete(wanted)) = parse(&bytes[..length]) else {
                    return Err(TestCaseError::fail("a part of a header is incomplete"));
                };
                prop_assert!(wanted > length && wanted <= bytes.len());
            }
            let source = SocketAddr::new(ip.to_canonical(), port);
            let complete = Progress::Complete { header: Header::Source(source), bytes: bytes.len() };
            prop_assert_eq!(parse(&bytes), Ok(complete));
        }

        #[test]
        fn no_bytes_are_read_beyond_their_end(
            tail in proptest::collection::vec(any::<u8>(), 0..128),
            with_magic: bool,
        ) {
            let bytes = if with_magic { [MAGIC.as_slice(), &tail].concat() } else { tail };
            match parse(&bytes) {
                Ok(Progress::Incomplete(wanted)) => {
                    prop_assert!(wanted > bytes.len() && wanted <= HEADER_BYTES_MAX);
                }
                Ok(Progress::Complete { bytes: length, .. }) => prop_assert!(length <= bytes.len()),
                Err(_) => {}
            }
        }
    }
}
