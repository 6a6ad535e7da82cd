//! Under which id a log is delivered: its own, or, when it is a copy that went its own way, one of its own.
//!
//! A directory that was copied or restored has the id of the log that it was copied from. The database knows the last batch
//! of each lane by its digest: if this log has another one there, or has not come as far, it is not the log that was
//! delivered. Going on would skip what it has instead. So it gets a new id, kept in a file beside the segments, and is
//! delivered from the last batch on that both have in common.
//!
//! ```text
//! database   1 … 70 │ 71 72 … 100          checkpoint at 100
//! this log   1 … 70 │ 71'72'… 80'          ahead or behind, 100' ≠ 100
//!                   └ fork: the new id begins behind 70
//! ```
//!
//! This happens before a lane is taken over: a copy that starts must not fence the original out.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::random_token;
use crate::sink::{self, Checkpoint, Client};
use crate::wal::{Item, Log, LogId, ReadError, SeqNo, Storage};

/// Name of the file beside the segments.
const FILE: &str = "forked";
/// What its only line begins with; the number is the version of the format.
const HEAD: &str = "holdfast-fork 0";

/// Why it could not be found out.
#[derive(Debug)]
pub(super) enum Error {
    /// The file.
    File(PathBuf, io::Error),
    /// The log.
    Read(ReadError),
    /// The task that reads the log panicked.
    Reader(tokio::task::JoinError),
    /// The database.
    Sink(sink::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Read(error) => write!(f, "reading the log: {error}"),
            Self::Reader(error) => write!(f, "reading the log: {error}"),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl From<sink::Error> for Error {
    fn from(error: sink::Error) -> Self {
        Self::Sink(error)
    }
}

/// The id that the file gives, if there is one for this log.
pub(super) fn read(directory: &Path, log_id: LogId) -> Result<Option<LogId>, Error> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::File(path, error)),
    };
    let broken = |what: &str| Error::File(path.clone(), io::Error::new(io::ErrorKind::InvalidData, what));
    let mut words =
        text.trim().strip_prefix(HEAD).ok_or_else(|| broken("its format is not known"))?.split(' ');
    let (Some(""), Some(old), Some(new), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(broken("it has not two ids"));
    };
    let new = u128::from_str_radix(new, 16).map_err(|_| broken("its second id is none"))?;
    // A log that was begun anew in the same directory is nobody's copy.
    Ok((old == hex(log_id)).then_some(LogId(new.to_be_bytes())))
}

/// Writes the file: whole, or not at all.
fn write(directory: &Path, log_id: LogId, new: LogId) -> Result<(), Error> {
    let (path, part) = (directory.join(FILE), directory.join(format!("{FILE}.part")));
    let write = || -> io::Result<()> {
        let mut file = File::create(&part)?;
        writeln!(file, "{HEAD} {} {}", hex(log_id), hex(new))?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| Error::File(path.clone(), error))
}

fn hex(id: LogId) -> String {
    format!("{:032x}", u128::from_be_bytes(id.0))
}

/// What a log must be asked.
pub(super) struct Question<'a, S: Storage> {
    /// Where the file is or will be; without one, a fork is given a new id at every start.
    pub(super) directory: Option<&'a Path>,
    pub(super) collector: &'a str,
    /// The log's own id.
    pub(super) log_id: LogId,
    pub(super) log: &'a Arc<Log<S>>,
    /// Everything up to here is in the log and can be read.
    pub(super) durable: SeqNo,
    /// Everything up to here is in the log; what is behind `durable` cannot be read yet.
    pub(super) end: SeqNo,
}

/// The id to deliver under, and how many lanes the database knows of it.
pub(super) async fn find<S: Storage>(
    client: &mut Client,
    question: &Question<'_, S>,
) -> Result<(LogId, Option<u32>), Error> {
    let known = question.directory.map_or(Ok(None), |directory| read(directory, question.log_id))?;
    let id = known.unwrap_or(question.log_id);
    let lanes = sink::checkpoints(client, question.collector, id.0).await?;
    let count = lanes.iter().map(|lane| lane.lanes).max();
    if lanes.is_empty() || is_ours(question, &lanes).await? {
        return Ok((id, count));
    }
    let new = LogId(random_token());
    let starts = common(client, question, id, &lanes).await?;
    let from = starts.iter().map(|lane| lane.last_seq).min().unwrap_or(0) + 1;
    let database = lanes.iter().map(|lane| lane.last_seq).max().unwrap_or(0);
    // The file first: when the process ends in between, the next start finds an id that the database does not know.
    if let Some(directory) = question.directory {
        write(directory, question.log_id, new)?;
    }
    sink::begin_fork(client, question.collector, id.0, new.0, &starts).await?;
    tracing::error!(
        was = hex(id),
        log_id = hex(new),
        from_seq = from,
        database_seq = database,
        durable_seq = question.durable.0,
        detail = "this log's directory was copied or restored: the database has other batches under its id. It is delivered \
            under a new id from the last common batch on; nothing is skipped. See that only one collector runs on each copy",
        "log_forked"
    );
    Ok((new, count))
}

/// Whether the log has what the lanes were given last. What is not in the log any more, or cannot be read yet, cannot be
/// compared.
async fn is_ours<S: Storage>(question: &Question<'_, S>, lanes: &[Checkpoint]) -> Result<bool, Error> {
    if lanes.iter().any(|lane| lane.last_seq > question.durable.max(question.end).0) {
        return Ok(false);
    }
    let wanted: HashSet<u64> = lanes.iter().map(|lane| lane.last_seq).collect();
    let mut found = HashMap::new();
    for seq in wanted {
        found.extend(digests_of(question.log, seq, seq, HashSet::from([seq])).await?);
    }
    Ok(lanes
        .iter()
        .all(|lane| lane.digest == 0 || found.get(&lane.last_seq).is_none_or(|own| *own == lane.digest)))
}

/// Per lane the last batch that the log and the database have in common, among those at which a transaction ended.
async fn common<S: Storage>(
    client: &Client,
    question: &Question<'_, S>,
    id: LogId,
    lanes: &[Checkpoint],
) -> Result<Vec<Checkpoint>, Error> {
    let durable = question.durable.0;
    let ledger = sink::digests(client, question.collector, id.0, 1, durable).await?;
    let wanted: HashSet<u64> = ledger.iter().map(|(_, seq, _)| *seq).collect();
    let from = wanted.iter().min().copied().unwrap_or(1);
    let own = digests_of(question.log, from, durable, wanted).await?;
    let last = |number: u32| {
        let same = |(lane, seq, digest): &&(u32, u64, u64)| *lane == number && own.get(seq) == Some(digest);
        ledger
            .iter()
            .filter(same)
            .max_by_key(|(_, seq, _)| *seq)
            .map_or((0, 0), |(_, seq, digest)| (*seq, *digest))
    };
    let start = |lane: &Checkpoint| {
        let (last_seq, digest) = last(lane.lane);
        Checkpoint { last_seq, digest, ..*lane }
    };
    Ok(lanes.iter().map(start).collect())
}

/// The log's own digests at the wanted places of a range, as far as they can be read.
async fn digests_of<S: Storage>(
    log: &Arc<Log<S>>,
    from: u64,
    to: u64,
    wanted: HashSet<u64>,
) -> Result<HashMap<u64, u64>, Error> {
    if to == 0 {
        return Ok(HashMap::new());
    }
    let mut reader = log.reader(SeqNo(from.max(1)));
    let reading = move || {
        let mut found = HashMap::new();
        while let Some(item) = reader.next(SeqNo(to)).map_err(Error::Read)? {
            if let Item::Data { seq, payload, .. } = item
                && wanted.contains(&seq.0)
            {
                found.insert(seq.0, sink::digest(seq.0, payload));
            }
        }
        Ok(found)
    };
    tokio::task::spawn_blocking(reading).await.map_err(Error::Reader)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_back_for_its_own_log_only() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (LogId([3; 16]), LogId([0xfe; 16]));
        assert_eq!(read(directory.path(), old).unwrap(), None);
        write(directory.path(), old, new).unwrap();
        assert_eq!(read(directory.path(), old).unwrap(), Some(new));
        assert_eq!(read(directory.path(), LogId([4; 16])).unwrap(), None);
    }

    #[test]
    fn a_file_of_another_format_is_refused_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "holdfast-fork 1 a b", "holdfast-fork 0 00", "holdfast-fork 0 00 zz"] {
            fs::write(directory.path().join(FILE), text).unwrap();
            let error = read(directory.path(), LogId([0; 16])).unwrap_err().to_string();
            assert!(error.contains("/forked: "), "{text:?}: {error}");
        }
    }
}
