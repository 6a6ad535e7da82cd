//! The listening sockets.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::tcp_md5::{self, Md5Key};

/// Maximum number of connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 1_024;

/// A host and a port, as they are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// IP address or host name.
    pub host: String,
    /// TCP port; to listen on 0 means a port that the kernel chooses.
    pub port: u16,
    /// True if connections are TLS.
    pub is_tls: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "tls://" } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}{open}{}{close}:{}", self.host, self.port)
    }
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {} port {}: {source}", endpoint.host, endpoint.port)]
pub struct BindError {
    endpoint: Endpoint,
    source: io::Error,
}

/// One listening socket.
#[derive(Debug)]
struct Socket {
    listener: TcpListener,
    address: SocketAddr,
    is_tls: bool,
}

/// All listening sockets.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<Socket>,
    /// Index of the socket that is polled first, so that a busy one does not starve the others.
    first: usize,
}

/// Options that are set before a socket listens, and that its connections inherit.
#[derive(Clone, Debug, Default)]
pub struct SocketOptions {
    /// Size of the receive buffer in bytes; `None` for that of the kernel.
    pub receive_buffer: Option<usize>,
    /// Keys of TCP-MD5.
    pub md5: Vec<Md5Key>,
}

/// An accepted connection.
pub(in crate::listener) struct Accepted {
    pub(in crate::listener) stream: TcpStream,
    pub(in crate::listener) address: SocketAddr,
    /// True if the connection came to a TLS port.
    pub(in crate::listener) is_tls: bool,
}

impl Sockets {
    /// Binds a socket for each endpoint, to the first address of its host that can be bound.
    ///
    /// # Errors
    /// A host name has no address, or none of its addresses can be bound; the error is that of the last one.
    pub async fn bind(endpoints: &[Endpoint], options: SocketOptions) -> Result<Self, BindError> {
        let mut sockets = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            // The wildcard address of IPv6 accepts IPv4 as well, unless another endpoint does so.
            let is_ipv4 = |other: &Endpoint| {
                other.port == endpoint.port && other.host.parse() == Ok(Ipv4Addr::UNSPECIFIED)
            };
            let is_v6_only = endpoint.port != 0 && endpoints.iter().any(is_ipv4);
            let bound = bind_host(endpoint, is_v6_only, &options).await;
            let (listener, address) =
                bound.map_err(|source| BindError { endpoint: endpoint.clone(), source })?;
            warn_of_limit(&listener, options.receive_buffer);
            let is_tls = endpoint.is_tls;
            sockets.push(Socket { listener, address, is_tls });
        }
        Ok(Self { sockets, first: 0 })
    }

    /// The addresses of all sockets, as endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |Socket { address, is_tls, .. }: &Socket| Endpoint {
            host: address.ip().to_string(),
            port: address.port(),
            is_tls: *is_tls,
        };
        self.sockets.iter().map(endpoint).collect()
    }

    /// Waits for the next connection.
    pub(in crate::listener) async fn accept(&mut self) -> io::Result<Accepted> {
        let Self { sockets, first } = self;
        poll_fn(|context| {
            let count = sockets.len();
            for (index, socket) in sockets.iter().enumerate().cycle().skip(*first).take(count) {
                if let Poll::Ready(accepted) = socket.listener.poll_accept(context) {
                    *first = index + 1;
                    let is_tls = socket.is_tls;
                    return Poll::Ready(accepted.map(|(stream, address)| Accepted {
                        stream,
                        address,
                        is_tls,
                    }));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Logs that the kernel has granted a smaller receive buffer than the configured one.
fn warn_of_limit(listener: &TcpListener, configured: Option<usize>) {
    let (Some(bytes), Ok(granted)) = (configured, SockRef::from(listener).recv_buffer_size()) else { return };
    // Linux doubles the size for its own use.
    let granted = granted / 2;
    if granted < bytes {
        let detail = "net.core.rmem_max limits BMP_RECEIVE_BUFFER";
        tracing::warn!(bytes, granted, detail, "receive_buffer_limited");
    }
}

async fn bind_host(
    endpoint: &Endpoint,
    is_v6_only: bool,
    options: &SocketOptions,
) -> io::Result<(TcpListener, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
        let bound = bind_address(address, is_v6_only, options)
            .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
        match bound {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_address(address: SocketAddr, is_v6_only: bool, options: &SocketOptions) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // After a restart, connections of the previous process are still in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() && is_v6_only {
        SockRef::from(&socket).set_only_v6(true)?;
    }
    if let Some(bytes) = options.receive_buffer {
        SockRef::from(&socket).set_recv_buffer_size(bytes)?;
    }
    for key in &options.md5 {
        tcp_md5::set(&socket, address.is_ipv6(), key)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
