//! The browser detects the defects that it is there to detect: one page per defect, and a sound one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::rig;

/// What precedes the contents of every page.
const HEAD: &str = "<!doctype html><html lang=en><title>Test</title><link rel=icon href=data:,>\
    <main><h1>Test</h1>";

/// Kind of the complaint, number of the four views (two widths, two schemes) that have it, and the contents.
const DEFECTS: [(&str, usize, &str); 11] = [
    ("console", 4, "<script>console.error('planted')</script>"),
    ("script", 4, "<script>missing()</script>"),
    ("status", 4, "<script src=/missing.js></script>"),
    ("request", 4, "<script src=/cut.js></script>"),
    ("foreign host", 4, "<img alt=Logo src=http://localhost:1/logo.png>"),
    ("overflow", 4, "<div style='width: 2000px'>wide</div>"),
    ("overflow", 2, "<div style='width: 500px'>wide</div>"),
    ("overflow", 4, "<table><tr><td><pre style='width: 1700px'>wide</pre></table>"),
    ("axe", 4, "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"),
    ("axe", 4, "<p style='color: #999; background: #fff'>pale</p>"),
    ("axe", 2, "<style>@media (prefers-color-scheme: dark) {p{color: #444; background: #000}}</style><p>dim"),
];

/// Contents without a defect, some of them close to one.
const SOUND: &str = "<script>console.log('a message')</script><img alt=Logo src=/logo.png>\
    <div tabindex=0 role=region aria-label=Wide style='overflow-x: auto'>\
    <div style='width: 2000px'>wide</div></div>";

/// Pages that a walk finds fault with at each step: no skip link, a focus that does not show, the wrong
/// section marked, a filter, a sort link, a look-up and a button without effect.
const CARELESS: &str = "<style>a:focus {outline: none}</style><header><nav>\
    <a href=/s/0 aria-current=page>A</a><a href=/s/1>B</a><a href=/s/2>C</a>\
    <a href=/s/3>D</a><a href=/s/4>E</a><a href=/s/5>F</a></nav>\
    <button>Pause</button></header>\
    <main><h1>Test</h1><a href=#x>X</a><form><input name=q aria-label=Q></form>\
    <table><thead><tr><th>Peer<th aria-sort=ascending><a href=/peers?sort=as>AS</a>\
    <tbody><tr><td>peer-1<td>3<tr><td>peer-2<td>1</table></main>";

/// A part of the complaint about each step.
const STEPS: [&str; 6] =
    ["the skip link", "\"B\" marks A", "the filter", "not sorted", "does not refresh", "the look-up of"];

/// The smallest GIF.
const IMAGE: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";

/// Serves one request: `/N` has defect N, `/sound` none, `/cut.js` ends within its contents, and the pages of
/// a walk are careless.
fn serve(stream: TcpStream) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    // The head is read to its end, or closing the connection would reset it.
    let _headers = lines.take_while(|line| !line.is_empty()).count();
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let number = path.parse().ok().and_then(|number: usize| DEFECTS.get(number));
    let (status, length, body) = match (path.split(['?', '/']).next().unwrap_or_default(), number) {
        ("" | "s" | "peers" | "lookup", _) => ("200 OK", None, CARELESS.as_bytes().to_vec()),
        ("sound", _) => ("200 OK", None, format!("{HEAD}{SOUND}").into_bytes()),
        ("logo.png", _) => ("200 OK", None, IMAGE.to_vec()),
        ("cut.js", _) => ("200 OK", Some(1000), b"1".to_vec()),
        ("failing", _) => ("503 Service Unavailable", None, HEAD.as_bytes().to_vec()),
        (_, Some((_, _, defect))) => ("200 OK", None, format!("{HEAD}{defect}").into_bytes()),
        _ => ("404 Not Found", None, Vec::new()),
    };
    let kind = if path.ends_with(".js") { "text/javascript" } else { "text/html" };
    let length = length.unwrap_or(body.len());
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    // A browser that leaves early is no concern of this server.
    let _sent = (&stream).write_all(&[head.as_bytes(), b"Connection: close\r\n\r\n", &body].concat());
}

fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn every_kind_of_defect_is_detected() {
    if !rig::is_there() {
        return;
    }
    let server = start();
    let url = |path: &str| format!("http://{server}/{path}");
    let sound = rig::check(&[url("sound")], "200");
    assert!(sound.is_empty(), "{sound:#?}");
    let failing = rig::check(&[url("failing")], "200,503");
    assert!(failing.is_empty(), "{failing:#?}");
    let failing = rig::check(&[url("failing")], "200");
    assert!(failing.len() == 4 && failing.iter().all(|one| one.kind == "status"), "{failing:#?}");
    let urls: Vec<_> = (0..DEFECTS.len()).map(|number| url(&number.to_string())).collect();
    let found = rig::check(&urls, "200");
    for (url, (kind, views, defect)) in urls.iter().zip(DEFECTS) {
        let prefix = format!("{url} ");
        let of_page: Vec<_> = found.iter().filter(|one| one.page.starts_with(&prefix)).collect();
        let right = of_page.iter().filter(|one| one.kind == kind).count();
        assert_eq!(right, views, "{defect}: {of_page:#?}");
        // A failed request is also a message on the console.
        let is_allowed = |one: &str| one == kind || matches!(one, "console" | "request");
        assert!(of_page.iter().all(|one| is_allowed(&one.kind)), "{defect}: {of_page:#?}");
    }
}

#[test]
fn a_walk_finds_fault_with_careless_pages() {
    if !rig::is_there() {
        return;
    }
    let found = rig::walk(&format!("http://{}/", start()), Some("192.0.2.0/24"));
    assert!(found.iter().any(|one| one.kind == "focus"), "{found:#?}");
    for step in STEPS {
        assert!(found.iter().any(|one| one.kind == "flow" && one.text.contains(step)), "{step}: {found:#?}");
    }
}
