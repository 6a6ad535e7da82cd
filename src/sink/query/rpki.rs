//! Validated ROA payloads (VRPs): parsing of a validator's JSON export, and loading into `rpki_vrps`.

use std::net::IpAddr;

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::Value;
use tokio_postgres::Client;

/// A validated ROA payload (RFC 6811).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vrp {
    /// Network address of the prefix; host bits are zero.
    pub address: IpAddr,
    /// Prefix length.
    pub length: u8,
    /// maxLength: greatest prefix length that is authorised, at least `length`.
    pub length_max: u8,
    /// Authorised origin AS; 0 authorises none.
    pub asn: u32,
    /// Name of the trust anchor; empty if the file names none.
    pub trust_anchor: String,
}

/// Why a file of VRPs was rejected.
#[derive(Debug, thiserror::Error)]
pub enum VrpError {
    /// The file is not valid JSON.
    #[error("invalid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The document has no array `roas`.
    #[error("expected a JSON object with an array \"roas\"")]
    NoList,
    /// The array `roas` is empty.
    #[error("the array \"roas\" is empty; refusing to delete all VRPs")]
    Empty,
    /// An entry is invalid.
    #[error("roas[{index}]: {reason}")]
    Entry {
        /// Index in the array, from 0.
        index: usize,
        /// Invalid field, and the expected value.
        reason: String,
    },
}

/// Parses `{"roas": [{"asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "…"}, …]}`.
///
/// `asn` may also be a number; other fields are ignored. An empty list is rejected, because every route would
/// become not-found.
///
/// # Errors
/// The file does not have this form.
pub fn parse_vrps(json: &[u8]) -> Result<Vec<Vrp>, VrpError> {
    let document: Value = serde_json::from_slice(json)?;
    let list = document.get("roas").and_then(Value::as_array).ok_or(VrpError::NoList)?;
    if list.is_empty() {
        return Err(VrpError::Empty);
    }
    let mut vrps = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        vrps.push(vrp(entry).map_err(|reason| VrpError::Entry { index, reason })?);
    }
    vrps.sort_unstable();
    vrps.dedup();
    Ok(vrps)
}

fn vrp(entry: &Value) -> Result<Vrp, String> {
    let (address, length) = entry
        .get("prefix")
        .and_then(Value::as_str)
        .and_then(prefix)
        .ok_or("invalid prefix; expected an IP prefix without host bits")?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length_max = match entry.get("maxLength") {
        None | Some(Value::Null) => length,
        Some(value) => value
            .as_u64()
            .and_then(|length_max| u8::try_from(length_max).ok())
            .filter(|length_max| (length..=bits).contains(length_max))
            .ok_or_else(|| format!("invalid maxLength; expected an integer from {length} to {bits}"))?,
    };
    let asn = match entry.get("asn") {
        Some(Value::String(text)) => text.trim_start_matches("AS").parse().ok(),
        Some(value) => value.as_u64().and_then(|asn| u32::try_from(asn).ok()),
        None => None,
    };
    Ok(Vrp {
        address,
        length,
        length_max,
        asn: asn.ok_or("invalid asn; expected an AS number")?,
        trust_anchor: entry.get("ta").and_then(Value::as_str).unwrap_or_default().to_owned(),
    })
}

fn prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    let (number, bits) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let host_bits = number.checked_shl(u32::from(length)).unwrap_or(0);
    (length <= bits && host_bits == 0).then_some((address, length))
}

/// Number of rows that a load changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadCounts {
    /// VRPs that were inserted.
    pub added: u64,
    /// VRPs that were deleted.
    pub removed: u64,
}

/// Replaces the contents of `rpki_vrps` in one transaction; readers see the old VRPs until it commits.
///
/// # Errors
/// The database failed; nothing is changed then.
pub async fn load_vrps(
    client: &mut Client,
    vrps: &[Vrp],
    source: &str,
) -> Result<LoadCounts, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(
            "LOCK TABLE rpki_vrps IN SHARE ROW EXCLUSIVE MODE;
            CREATE TEMP TABLE loaded_vrps (LIKE rpki_vrps) ON COMMIT DROP",
        )
        .await?;
    let mut copy =
        Box::pin(transaction.copy_in::<_, Bytes>("COPY loaded_vrps FROM STDIN (FORMAT csv)").await?);
    for part in vrps.chunks(10_000) {
        let lines: String = part.iter().map(csv_line).collect();
        copy.send(lines.into()).await?;
    }
    copy.as_mut().finish().await?;
    transaction.batch_execute("ANALYZE loaded_vrps").await?;
    let removed = transaction
        .execute("DELETE FROM rpki_vrps v WHERE NOT EXISTS (SELECT FROM loaded_vrps l WHERE l = v)", &[])
        .await?;
    let added = transaction
        .execute("INSERT INTO rpki_vrps SELECT * FROM loaded_vrps ON CONFLICT DO NOTHING", &[])
        .await?;
    transaction
        .execute(
            "INSERT INTO rpki_loads (vrps, source) SELECT count(*), $1 FROM rpki_vrps ON CONFLICT DO NOTHING",
            &[&source],
        )
        .await?;
    transaction.commit().await?;
    Ok(LoadCounts { added, removed })
}

fn csv_line(vrp: &Vrp) -> String {
    let anchor = vrp.trust_anchor.replace('"', "\"\"").replace('\0', "");
    format!("{}/{},{},{},\"{anchor}\"\n", vrp.address, vrp.length, vrp.length_max, vrp.asn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_of_different_validators_are_read() {
        let json = br#"{"metadata": {}, "roas": [
            {"asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe"},
            {"asn": 4200000000, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "apnic", "expires": 1},
            {"asn": 0, "prefix": "0.0.0.0/0"}]}"#;
        let vrps = parse_vrps(json).unwrap();
        let seen: Vec<_> = vrps.iter().map(csv_line).collect();
        assert_eq!(
            seen,
            [
                "0.0.0.0/0,0,0,\"\"\n",
                "192.0.2.0/24,25,64496,\"ripe\"\n",
                "2001:db8::/32,48,4200000000,\"apnic\"\n"
            ]
        );
    }

    #[test]
    fn an_invalid_entry_is_named() {
        for (entry, message) in [
            (
                r#"{"asn": 1, "prefix": "192.0.2.1/24"}"#,
                "roas[0]: invalid prefix; expected an IP prefix without host bits",
            ),
            (
                r#"{"asn": 1, "prefix": "192.0.2.0/33"}"#,
                "roas[0]: invalid prefix; expected an IP prefix without host bits",
            ),
            (
                r#"{"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 23}"#,
                "roas[0]: invalid maxLength; expected an integer from 24 to 32",
            ),
            (r#"{"asn": "ASX", "prefix": "192.0.2.0/24"}"#, "roas[0]: invalid asn; expected an AS number"),
        ] {
            let json = format!(r#"{{"roas": [{entry}]}}"#);
            assert_eq!(parse_vrps(json.as_bytes()).unwrap_err().to_string(), message);
        }
        assert!(
            parse_vrps(b"{\"roas\": []}").is_err() && parse_vrps(b"[]").is_err() && parse_vrps(b"{").is_err()
        );
    }
}
