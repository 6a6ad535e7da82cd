//! A client of the daemon's HTTP server, without a library: tests see the bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::daemon::{Daemon, PATIENCE};

/// Turns the server on, at a port of the kernel's choice.
pub const LISTEN: (&str, &str) = ("HTTP_LISTEN", "127.0.0.1:0");

/// A response.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The address of the daemon's server.
pub fn address(daemon: &mut Daemon) -> SocketAddr {
    let started = daemon.event_since_start("http_server_started");
    started["address"].as_str().unwrap().parse().unwrap()
}

/// Sends the head of a request.
pub fn request(address: SocketAddr, line: &str, headers: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").as_bytes()).unwrap();
    stream
}

/// Reads a response to its end. The server closes each connection.
pub fn read(mut stream: TcpStream) -> Page {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Page { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

pub fn get(address: SocketAddr, path: &str) -> Page {
    read(request(address, &format!("GET {path}"), &[]))
}

/// The sum of all samples of a metric whose labels include this text. Fails if there is none.
pub fn metric(page: &str, name: &str, labels: &str) -> f64 {
    let samples = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let found = series.split('{').next() == Some(name) && series.contains(labels);
        found.then(|| value.parse::<f64>().unwrap())
    });
    let samples: Vec<f64> = samples.collect();
    assert!(!samples.is_empty(), "no sample of {name} with {labels:?} in {page}");
    samples.iter().sum()
}
