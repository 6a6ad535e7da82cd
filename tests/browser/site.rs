//! A collector with its page, and recorded sessions of real routers.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::common::daemon::Daemon;
use crate::common::messages::{Header, PEER, initiation, open};
use crate::common::web::{LISTEN, address, get};

/// Recordings that are sent, each from an address of its own.
const RECORDINGS: [(&str, [u8; 4]); 4] = [
    ("frr", [127, 0, 0, 11]),
    ("bird", [127, 0, 0, 12]),
    ("gobgp", [127, 0, 0, 13]),
    ("frr-cease", [127, 0, 0, 14]),
];

/// The sections of the page.
const SECTIONS: [&str; 6] = ["/", "/routers", "/peers", "/log", "/delivery", "/lookup"];

pub struct Site {
    pub daemon: Daemon,
    pub server: SocketAddr,
    /// Open connections of routers.
    routers: Vec<TcpStream>,
    folder: TempDir,
}

impl Site {
    /// Starts a collector without routers.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> =
            RECORDINGS.iter().map(|(name, address)| format!("{}={name}", Ipv4Addr::from(*address))).collect();
        let names = names.join(",");
        let own = [LISTEN, ("BMP_ROUTER_NAMES", names.as_str()), ("EXPECTED_ROUTERS", "core-9")];
        let mut daemon = Daemon::start(folder.path(), &[own.as_slice(), environment].concat());
        let server = address(&mut daemon);
        Self { daemon, server, routers: Vec::new(), folder }
    }

    /// Sends the first connection of each recording, and keeps it open. Returns when everything is durable.
    pub fn send_recordings(&mut self) {
        for (name, source) in RECORDINGS {
            let path = format!("tests/fixtures/captures/{name}/1.bmp.gz");
            let file = File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
            let mut bytes = Vec::new();
            GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
            let mut router = self.daemon.connect_from(source);
            router.write_all(&bytes).unwrap();
            self.routers.push(router);
            let sent = u64::try_from(bytes.len()).unwrap();
            self.daemon.status_when(|document| {
                document.routers.iter().any(|router| router.name == name && router.bytes == sent)
                    && document.wal.unsynced_records == 0
                    && document.wal.written == document.wal.durable
            });
        }
    }

    /// Connects a router with this number of peers, of which every tenth is down.
    pub fn send_peers(&mut self, peers: u16) {
        let mut bytes = initiation("edge-1");
        for number in 0..peers {
            let [high, low] = number.to_be_bytes();
            let address = Ipv4Addr::new(10, 20, high, low);
            let peer = Header { address, asn: 64_512 + u32::from(number), bgp_id: address.to_bits(), ..PEER };
            bytes.extend(peer.peer_up(&open(65_000, &[]), &open(peer.asn, &[]), &[]));
            if number % 10 == 9 {
                bytes.extend(peer.peer_down(4, &[]));
            }
        }
        self.routers.push(self.daemon.send(&bytes));
        self.daemon.status_when(|document| {
            document.routers.iter().any(|router| router.peers.len() == usize::from(peers))
        });
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server)
    }

    /// Addresses of the sections, of the first router, of the first peer, and of an empty list.
    pub fn urls(&self) -> Vec<String> {
        let mut paths: Vec<String> = SECTIONS.map(str::to_owned).into();
        for list in ["/routers", "/peers"] {
            paths.extend(self.links(list).into_iter().find(|link| link.starts_with(&format!("{list}/"))));
        }
        paths.push("/peers?q=nothing".to_owned());
        paths.iter().map(|path| self.url(path)).collect()
    }

    /// Addresses of the forms of all queries.
    pub fn forms(&self) -> Vec<String> {
        let links = self.links("/lookup").into_iter().filter(|link| link.starts_with("/lookup/"));
        let forms: Vec<_> = links.map(|path| self.url(&path)).collect();
        assert!(forms.len() > 20, "{forms:?}");
        forms
    }

    /// The targets of the links of a page, in order.
    fn links(&self, path: &str) -> Vec<String> {
        let page = get(self.server, path).body;
        let targets = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        targets.map(|target| target.replace("&amp;", "&")).collect()
    }
}
