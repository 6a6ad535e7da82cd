//! Who may send requests: those with the token, as `Bearer` or as the password of `Basic`.

use hyper::header::HeaderValue;

use crate::config::Secret;

/// Whether the value of the header `Authorization` contains the token.
///
/// Browsers cannot be made to send `Bearer`, but ask for a user name and a password. Any user name is
/// accepted.
pub(super) fn is_authorized(header: Option<&HeaderValue>, token: &Secret) -> bool {
    let Some(header) = header.map(HeaderValue::as_bytes) else { return false };
    let token = token.reveal().as_bytes();
    if let Some(given) = header.strip_prefix(b"Bearer ") {
        return is_equal(given, token);
    }
    let Some((scheme, credentials)) = header.split_at_checked(BASIC.len()) else { return false };
    if !scheme.eq_ignore_ascii_case(BASIC) {
        return false;
    }
    let Some(credentials) = base64_decoded(credentials) else { return false };
    let mut parts = credentials.splitn(2, |byte| *byte == b':');
    parts.next();
    parts.next().is_some_and(|password| is_equal(password, token))
}

const BASIC: &[u8] = b"Basic ";

/// Compares two byte strings in a time that depends on their lengths alone.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// Decodes base64 with padding (RFC 4648 section 4); `None` if it is malformed.
fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(unpadded.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in unpadded {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
            bits &= (1 << count) - 1;
        }
    }
    // The bits behind the last octet are zero.
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_and_malformed_one_is_refused() {
        // RFC 4648 section 10.
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Pj8+Pz4=", ">?>?>"),
        ] {
            assert_eq!(base64_decoded(text.as_bytes()).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        for malformed in ["Z", "Zg", "Zg=", "Zh==", "Zg==Zg==", "Zm9\n", "====", "Zm9v="] {
            assert_eq!(base64_decoded(malformed.as_bytes()), None, "{malformed}");
        }
    }

    #[test]
    fn the_token_is_accepted_in_both_schemes() {
        let token = Secret::new("se:cret".to_owned());
        let is_accepted = |text: &'static str| is_authorized(Some(&HeaderValue::from_static(text)), &token);
        // `user:se:cret`, `:se:cret`.
        for header in ["Bearer se:cret", "Basic dXNlcjpzZTpjcmV0", "basic OnNlOmNyZXQ="] {
            assert!(is_accepted(header), "{header}");
        }
        // `se:cret`, whose password is `cret`; `user:se:cre`; the token as it is.
        for header in ["Basic c2U6Y3JldA==", "Basic dXNlcjpzZTpjcmU=", "Basic se:cret", "Bearer ", "", "B"] {
            assert!(!is_accepted(header), "{header}");
        }
        assert!(!is_authorized(None, &token));
    }
}
