//! Builders of BMP and BGP messages for tests, written from the RFCs' diagrams and independent of the
//! decoder.

use std::net::Ipv4Addr;

/// A BMP message: common header (RFC 7854 section 4.1) and body.
pub fn bmp(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![3];
    message.extend(u32::try_from(body.len() + 6).unwrap().to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

/// A per-peer header (RFC 7854 section 4.2).
#[derive(Clone, Copy)]
pub struct Header {
    pub peer_type: u8,
    pub flags: u8,
    pub distinguisher: u64,
    pub address: Ipv4Addr,
    pub asn: u32,
    pub bgp_id: u32,
    pub seconds: u32,
}

pub const PEER: Header = Header {
    peer_type: 0,
    flags: 0,
    distinguisher: 0,
    address: Ipv4Addr::new(192, 0, 2, 1),
    asn: 65_001,
    bgp_id: 0xc000_0201,
    seconds: 1_790_000_000,
};

pub const POST_POLICY: u8 = 0x40;
pub const TWO_OCTET_AS: u8 = 0x20;
pub const ADJ_RIB_OUT: u8 = 0x10;

impl Header {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.peer_type, self.flags];
        bytes.extend(self.distinguisher.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(self.address.octets());
        bytes.extend(self.asn.to_be_bytes());
        bytes.extend(self.bgp_id.to_be_bytes());
        bytes.extend(self.seconds.to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    fn message(&self, kind: u8, body: &[u8]) -> Vec<u8> {
        bmp(kind, &[self.bytes(), body.to_vec()].concat())
    }

    pub fn route_monitoring(&self, pdu: &[u8]) -> Vec<u8> {
        self.message(0, pdu)
    }

    pub fn statistics(&self, stats: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = u32::try_from(stats.len()).unwrap().to_be_bytes().to_vec();
        stats.iter().for_each(|(kind, value)| body.extend(tlv(*kind, value)));
        self.message(1, &body)
    }

    pub fn peer_down(&self, reason: u8, data: &[u8]) -> Vec<u8> {
        self.message(2, &[&[reason], data].concat())
    }

    pub fn peer_up(&self, sent_open: &[u8], received_open: &[u8], tlvs: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 12];
        body.extend([192, 0, 2, 254]);
        body.extend(179_u16.to_be_bytes());
        body.extend(40_179_u16.to_be_bytes());
        body.extend(sent_open);
        body.extend(received_open);
        body.extend(tlvs);
        self.message(3, &body)
    }

    pub fn mirror(&self, tlvs: &[u8]) -> Vec<u8> {
        self.message(6, tlvs)
    }
}

/// A Peer Up with another remote port: of another BGP session.
pub fn from_port(mut peer_up: Vec<u8>, port: u16) -> Vec<u8> {
    peer_up[66..68].copy_from_slice(&port.to_be_bytes());
    peer_up
}

/// Type, length, value with 16-bit type and length.
pub fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    bytes.extend(value);
    bytes
}

pub fn initiation(sys_name: &str) -> Vec<u8> {
    bmp(4, &[tlv(2, sys_name.as_bytes()), tlv(1, b"test router")].concat())
}

pub fn termination(reason: u16) -> Vec<u8> {
    bmp(5, &tlv(1, &reason.to_be_bytes()))
}

/// A BGP message: marker, length, type, body.
pub fn bgp(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(body.len() + 19).unwrap().to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

/// An OPEN with these capabilities, each its own optional parameter.
pub fn open(asn: u32, capabilities: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut parameters = Vec::new();
    for (code, value) in capabilities {
        let length = u8::try_from(value.len()).unwrap();
        parameters.extend([2, length + 2, *code, length]);
        parameters.extend(value);
    }
    let mut body = vec![4];
    body.extend(u16::try_from(asn).unwrap_or(23_456).to_be_bytes());
    body.extend(180_u16.to_be_bytes());
    body.extend([192, 0, 2, 1]);
    body.push(u8::try_from(parameters.len()).unwrap());
    body.extend(parameters);
    bgp(1, &body)
}

/// Multiprotocol capability (RFC 4760 section 8).
pub fn multiprotocol(afi: u16, safi: u8) -> (u8, Vec<u8>) {
    let [high, low] = afi.to_be_bytes();
    (1, vec![high, low, 0, safi])
}

/// 4-octet AS capability (RFC 6793).
pub fn four_octet_as(asn: u32) -> (u8, Vec<u8>) {
    (65, asn.to_be_bytes().to_vec())
}

/// ADD-PATH capability (RFC 7911): 1 receive, 2 send, 3 both.
pub fn add_path(afi: u16, safi: u8, mode: u8) -> (u8, Vec<u8>) {
    let [high, low] = afi.to_be_bytes();
    (69, vec![high, low, safi, mode])
}

/// An UPDATE (RFC 4271 section 4.3).
pub fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    bgp(2, &body)
}

/// A path attribute; a value over 255 octets gets the extended length.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags, code];
    match u8::try_from(value.len()) {
        Ok(length) => bytes.push(length),
        Err(_) => {
            bytes[0] |= 0x10;
            bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(value);
    bytes
}

/// ORIGIN IGP, AS_PATH of one sequence with 4-octet numbers, NEXT_HOP 192.0.2.9.
pub fn plain_attributes(path: &[u32]) -> Vec<u8> {
    let mut segment = vec![2, u8::try_from(path.len()).unwrap()];
    path.iter().for_each(|asn| segment.extend(asn.to_be_bytes()));
    [attribute(0x40, 1, &[0]), attribute(0x40, 2, &segment), attribute(0x40, 3, &[192, 0, 2, 9])].concat()
}

/// An IPv4 prefix as NLRI.
pub fn v4(a: u8, b: u8, c: u8, length: u8) -> Vec<u8> {
    let octets = usize::from(length).div_ceil(8);
    [&[length], &[a, b, c, 0][..octets]].concat()
}

/// An IPv4 prefix as NLRI with path identifier.
pub fn v4_path(path_id: u32, a: u8, b: u8, c: u8, length: u8) -> Vec<u8> {
    [path_id.to_be_bytes().to_vec(), v4(a, b, c, length)].concat()
}

/// MP_REACH_NLRI (RFC 4760 section 3).
pub fn mp_reach(afi: u16, safi: u8, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut value = afi.to_be_bytes().to_vec();
    value.push(safi);
    value.push(u8::try_from(next_hop.len()).unwrap());
    value.extend(next_hop);
    value.push(0);
    value.extend(nlri);
    attribute(0x80, 14, &value)
}

/// MP_UNREACH_NLRI (RFC 4760 section 4).
pub fn mp_unreach(afi: u16, safi: u8, nlri: &[u8]) -> Vec<u8> {
    let mut value = afi.to_be_bytes().to_vec();
    value.push(safi);
    value.extend(nlri);
    attribute(0x80, 15, &value)
}
