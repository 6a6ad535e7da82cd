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

/// Reads a response to its end. The server closes each connection. Panics if the body is incomplete.
pub fn read(stream: TcpStream) -> Page {
    let (page, is_complete) = read_rest(stream, Vec::new());
    assert!(is_complete, "an incomplete body: {page:?}");
    page
}

/// Reads a response of which these bytes have been read; also returns whether its body is complete.
pub fn read_rest(mut stream: TcpStream, mut bytes: Vec<u8>) -> (Page, bool) {
    let is_closed = stream.read_to_end(&mut bytes).is_ok();
    // An incomplete body may end within a character.
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let (body, is_complete) = if head.contains("transfer-encoding: chunked") {
        dechunked(body.as_bytes())
    } else {
        (body.to_owned(), is_closed)
    };
    (Page { status, head, body }, is_complete)
}

/// Reads a response until its bytes contain a text, and returns them.
pub fn read_until(stream: &mut TcpStream, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let mut part = [0; 4_096];
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..length]);
    }
    bytes
}

/// The contents of a chunked body (RFC 9112, section 7.1), and whether it has its last chunk.
fn dechunked(mut bytes: &[u8]) -> (String, bool) {
    let mut contents = Vec::new();
    let mut is_complete = false;
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let length = std::str::from_utf8(&bytes[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        is_complete = length == 0;
        let rest = &bytes[end + 2..];
        contents.extend_from_slice(&rest[..length.min(rest.len())]);
        bytes = rest.get(length + 2..).unwrap_or_default();
    }
    (String::from_utf8_lossy(&contents).into_owned(), is_complete)
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
