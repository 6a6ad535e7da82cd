//! TCP-MD5 (RFC 2385): the kernel signs and verifies every segment of a connection with a shared key.
//!
//! The standard library and the crates for sockets have no such option. This file has the only `unsafe` code
//! of the program: one call of setsockopt with a structure that is fully initialized and outlives the call.

#![allow(unsafe_code, reason = "setsockopt(TCP_MD5SIG_EXT) has no safe wrapper in any crate used here")]

use std::fmt;
use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};

use crate::route::Prefix;
use crate::tls::secret_file::{self, SecretFileError};

/// Maximum length of a key in bytes (TCP_MD5SIG_MAXKEYLEN of Linux).
const KEY_BYTES_MAX: usize = 80;

/// Flag that `prefix_length` of the request is valid.
const WITH_PREFIX: u8 = 1;

/// The key for the connections with the routers of a prefix.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key {
    /// Addresses of the routers.
    pub prefix: Prefix,
    /// File that the key was read from.
    pub file: PathBuf,
    key: Vec<u8>,
}

/// The key is not shown.
impl fmt::Debug for Md5Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Md5Key")
            .field("prefix", &self.prefix)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Md5KeyError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The first line is empty or too long.
    #[error(
        "{}: the first line has {bytes} bytes; expected a key of 1 to {KEY_BYTES_MAX} bytes",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Length of its first line.
        bytes: usize,
    },
}

impl Md5Key {
    /// Reads the key of a prefix: the first line of a file.
    ///
    /// # Errors
    /// The file cannot be read or is accessible to other users, or its first line is not a key.
    pub fn read(prefix: Prefix, file: &Path) -> Result<Self, Md5KeyError> {
        let contents = secret_file::read(file)?;
        let line = contents.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let key = line.strip_suffix(b"\r").unwrap_or(line);
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(Md5KeyError::Length { path: file.to_owned(), bytes: key.len() });
        }
        Ok(Self { prefix, file: file.to_owned(), key: key.to_vec() })
    }
}

/// `struct tcp_md5sig` of Linux (include/uapi/linux/tcp.h). Its first 128 bytes are a `sockaddr_storage`.
#[repr(C)]
struct Request {
    family: libc::sa_family_t,
    /// Not used by the kernel.
    port: u16,
    /// The address of an IPv4 socket; the flow label of an IPv6 one.
    ipv4_or_flow: [u8; 4],
    ipv6: [u8; 16],
    rest_of_address: [u8; 104],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: i32,
    key: [u8; KEY_BYTES_MAX],
}

/// Size of `struct tcp_md5sig`.
const REQUEST_BYTES: usize = 216;
const _: () = assert!(size_of::<Request>() == REQUEST_BYTES, "the layout differs from that of Linux");

impl Request {
    /// The request for a socket of one address family; `None` if the prefix has no address of that family.
    fn new(is_ipv6: bool, key: &Md5Key) -> Option<Self> {
        let (family, ipv4_or_flow, ipv6) = match (is_ipv6, key.prefix.address()) {
            (false, IpAddr::V4(address)) => (libc::AF_INET, address.octets(), [0; 16]),
            // A dual-stack socket has IPv4 addresses as ::ffff:a.b.c.d; the length remains that of IPv4.
            (true, IpAddr::V4(address)) => (libc::AF_INET6, [0; 4], address.to_ipv6_mapped().octets()),
            (true, IpAddr::V6(address)) => (libc::AF_INET6, [0; 4], address.octets()),
            (false, IpAddr::V6(_)) => return None,
        };
        let mut padded = [0; KEY_BYTES_MAX];
        padded.iter_mut().zip(&key.key).for_each(|(to, from)| *to = *from);
        Some(Self {
            family: libc::sa_family_t::try_from(family).ok()?,
            port: 0,
            ipv4_or_flow,
            ipv6,
            rest_of_address: [0; 104],
            flags: WITH_PREFIX,
            prefix_length: key.prefix.length(),
            key_length: u16::try_from(key.key.len()).ok()?,
            interface: 0,
            key: padded,
        })
    }
}

/// Sets the key for the routers of a prefix on a socket that listens or connects later. A prefix of another
/// address family than that of the socket has no effect.
///
/// # Errors
/// The kernel does not support TCP-MD5, or has no memory for the key.
pub(super) fn set(socket: &impl AsFd, is_ipv6: bool, key: &Md5Key) -> io::Result<()> {
    let Some(request) = Request::new(is_ipv6, key) else { return Ok(()) };
    let length = libc::socklen_t::try_from(REQUEST_BYTES).unwrap_or_default();
    // SAFETY: the descriptor is open, because `socket` is borrowed. The pointer and the length describe
    // `request`, which is initialized (`repr(C)` without padding between fields, checked by the assertion
    // above) and lives until the call returns. The kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG_EXT,
            std::ptr::from_ref(&request).cast(),
            length,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let hint = match error.raw_os_error() {
        Some(libc::ENOPROTOOPT) => "; the kernel has no TCP-MD5 (CONFIG_TCP_MD5SIG)",
        Some(libc::ENOMEM) => "; net.core.optmem_max limits the number of keys",
        _ => "",
    };
    Err(io::Error::new(error.kind(), format!("TCP-MD5 key of {} (BMP_MD5): {error}{hint}", key.prefix)))
}

/// The key for a router: that of the longest prefix that contains its address.
pub(super) fn key_for(keys: &[Md5Key], address: IpAddr) -> Option<&Md5Key> {
    let address = address.to_canonical();
    keys.iter().filter(|key| key.prefix.contains(address)).max_by_key(|key| key.prefix.length())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(prefix: &str) -> Md5Key {
        Md5Key { prefix: prefix.parse().unwrap(), file: PathBuf::new(), key: b"swordfish".to_vec() }
    }

    #[test]
    fn a_request_has_the_prefix_in_the_family_of_the_socket() {
        let request = Request::new(false, &key("192.0.2.0/24")).unwrap();
        assert_eq!((i32::from(request.family), request.prefix_length), (libc::AF_INET, 24));
        assert_eq!((request.ipv4_or_flow, request.key_length), ([192, 0, 2, 0], 9));
        let request = Request::new(true, &key("192.0.2.0/24")).unwrap();
        assert_eq!((i32::from(request.family), request.prefix_length), (libc::AF_INET6, 24));
        assert_eq!(request.ipv6, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 0]);
        assert!(Request::new(false, &key("2001:db8::/32")).is_none());
    }

    #[test]
    fn the_longest_prefix_decides() {
        let keys = [key("192.0.2.0/24"), key("192.0.2.7"), key("0.0.0.0/0")];
        for (address, prefix) in
            [("192.0.2.7", "192.0.2.7/32"), ("::ffff:192.0.2.8", "192.0.2.0/24"), ("10.0.0.1", "0.0.0.0/0")]
        {
            let found = key_for(&keys, address.parse().unwrap()).unwrap();
            assert_eq!(found.prefix.to_string(), prefix);
        }
        assert_eq!(key_for(&keys, "2001:db8::1".parse().unwrap()), None);
    }

    #[test]
    fn a_key_is_the_first_line_of_a_private_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Md5Key::read("192.0.2.0/24".parse().unwrap(), &path)
        };
        let good = read("swordfish\r\nsecond line\n", 0o600).unwrap();
        assert_eq!(good.key, b"swordfish");
        assert!(!format!("{good:?}").contains("swordfish"));
        let error = |text: &str, mode| read(text, mode).unwrap_err().to_string();
        assert!(error("swordfish", 0o644).contains("accessible to other users (mode 0644)"));
        assert!(error("\n", 0o600).contains("the first line has 0 bytes"));
        assert!(error(&"x".repeat(81), 0o600).contains("81 bytes; expected a key of 1 to 80 bytes"));
    }
}
