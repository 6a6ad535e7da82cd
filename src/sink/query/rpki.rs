//! Validated ROA payloads: from the JSON that validators export into `rpki_vrps`.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::Value;
use tokio_postgres::Client;

/// One payload: who may originate what, and how specific (RFC 6811).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vrp {
    /// Address of the prefix.
    pub address: IpAddr,
    /// Its length.
    pub length: u8,
    /// The longest announcement that it permits.
    pub length_max: u8,
    /// The origin; 0 permits nobody.
    pub asn: u32,
    /// Which registry vouches for it; empty when the file does not say.
    pub trust_anchor: String,
}

/// Why a file cannot be taken.
#[derive(Debug)]
pub enum VrpError {
    /// It is no JSON, or has no list of payloads.
    File(String),
    /// An entry is wrong.
    Entry {
        /// Its place in the list, from 0.
        place: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl fmt::Display for VrpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(what) => f.write_str(what),
            Self::Entry { place, what } => write!(f, "roas[{place}]: {what}"),
        }
    }
}

impl std::error::Error for VrpError {}

/// Reads `{"roas": [{"asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "…"}, …]}`; the AS number may be a
/// number, and whatever else an entry has is left out. An empty list is refused: it would make every route unknown.
///
/// # Errors
/// The file is not of this form.
pub fn parse_vrps(json: &[u8]) -> Result<Vec<Vrp>, VrpError> {
    let document: Value = serde_json::from_slice(json).map_err(|error| VrpError::File(error.to_string()))?;
    let list = document.get("roas").and_then(Value::as_array);
    let list = list.ok_or_else(|| VrpError::File("there is no list \"roas\"".to_owned()))?;
    if list.is_empty() {
        return Err(VrpError::File("the list \"roas\" is empty".to_owned()));
    }
    let mut vrps = Vec::with_capacity(list.len());
    for (place, entry) in list.iter().enumerate() {
        vrps.push(vrp(entry).map_err(|what| VrpError::Entry { place, what })?);
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
        .ok_or("prefix is no IP prefix, or has bits behind its length")?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length_max = match entry.get("maxLength") {
        None | Some(Value::Null) => length,
        Some(value) => value
            .as_u64()
            .and_then(|length_max| u8::try_from(length_max).ok())
            .filter(|length_max| (length..=bits).contains(length_max))
            .ok_or_else(|| format!("maxLength is no number from {length} to {bits}"))?,
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
        asn: asn.ok_or("asn is no AS number")?,
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
    let behind = number.checked_shl(u32::from(length)).unwrap_or(0);
    (length <= bits && behind == 0).then_some((address, length))
}

/// What a load changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// New payloads.
    pub added: u64,
    /// Payloads that the file no longer has.
    pub removed: u64,
}

/// Makes `rpki_vrps` hold these payloads and no others, in one transaction; readers see the old ones until then.
///
/// # Errors
/// The database said no; nothing is changed then.
pub async fn load_vrps(
    client: &mut Client,
    vrps: &[Vrp],
    source: &str,
) -> Result<Loaded, tokio_postgres::Error> {
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
    Ok(Loaded { added, removed })
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
    fn a_wrong_entry_is_named() {
        for (entry, what) in [
            (
                r#"{"asn": 1, "prefix": "192.0.2.1/24"}"#,
                "roas[0]: prefix is no IP prefix, or has bits behind its length",
            ),
            (
                r#"{"asn": 1, "prefix": "192.0.2.0/33"}"#,
                "roas[0]: prefix is no IP prefix, or has bits behind its length",
            ),
            (
                r#"{"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 23}"#,
                "roas[0]: maxLength is no number from 24 to 32",
            ),
            (r#"{"asn": "ASX", "prefix": "192.0.2.0/24"}"#, "roas[0]: asn is no AS number"),
        ] {
            let json = format!(r#"{{"roas": [{entry}]}}"#);
            assert_eq!(parse_vrps(json.as_bytes()).unwrap_err().to_string(), what);
        }
        assert!(
            parse_vrps(b"{\"roas\": []}").is_err() && parse_vrps(b"[]").is_err() && parse_vrps(b"{").is_err()
        );
    }
}
