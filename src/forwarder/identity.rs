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
//! When the log has given that batch up already, the note of how far it was delivered decides: a batch behind that, which this
//! log no longer has, was delivered by another one.
//!
//! This happens before a lane is taken over: a copy that starts must not fence the original out.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::marker_files::{DELIVERED, FORKED, Note};
use super::random_token;
use crate::sink::{self, Checkpoint, Client};
use crate::wal::{GapReason, Item, Log, LogId, ReadError, SeqNo, Storage};

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

impl Error {
    fn file(directory: &Path, note: &Note, error: io::Error) -> Self {
        Self::File(directory.join(note.name), error)
    }
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

impl<S: Storage> Question<'_, S> {
    fn noted(&self, note: Note) -> Result<Option<u128>, Error> {
        let Some(directory) = self.directory else { return Ok(None) };
        note.read(directory, self.log_id).map_err(|error| Error::file(directory, &note, error))
    }
}

/// The id to deliver under, and how many lanes the database knows of it.
pub(super) async fn find<S: Storage>(
    client: &mut Client,
    question: &Question<'_, S>,
) -> Result<(LogId, Option<u32>), Error> {
    let known = question.noted(FORKED)?;
    let id = known.map_or(question.log_id, |id| LogId(id.to_be_bytes()));
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
        let id = u128::from_be_bytes(new.0);
        FORKED
            .write(directory, question.log_id, id)
            .map_err(|error| Error::file(directory, &FORKED, error))?;
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

/// Whether the log has what the lanes were given last. What cannot be read cannot be compared; but what has left the log
/// before this log was delivered so far, was never delivered from it.
async fn is_ours<S: Storage>(question: &Question<'_, S>, lanes: &[Checkpoint]) -> Result<bool, Error> {
    if lanes.iter().any(|lane| lane.last_seq > question.durable.max(question.end).0) {
        return Ok(false);
    }
    let wanted: HashSet<u64> = lanes.iter().map(|lane| lane.last_seq).collect();
    let mut found = HashMap::new();
    for seq in wanted {
        found.extend(digests_of(question.log, seq, seq, HashSet::from([seq])).await?);
    }
    let is_other = |lane: &Checkpoint| found.get(&lane.last_seq).is_some_and(|own| *own != lane.digest);
    if lanes.iter().any(|lane| lane.digest != 0 && is_other(lane)) {
        return Ok(false);
    }
    let Some(delivered) = question.noted(DELIVERED)? else { return Ok(true) };
    for lane in lanes.iter().filter(|lane| u128::from(lane.last_seq) > delivered) {
        if has_left(question.log, lane.last_seq).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the log once had the batch, and has given up its segment.
async fn has_left<S: Storage>(log: &Arc<Log<S>>, seq: u64) -> Result<bool, Error> {
    let mut reader = log.reader(SeqNo(seq));
    let reading = move || {
        let item = reader.next(SeqNo(seq)).map_err(Error::Read)?;
        Ok(matches!(item, Some(Item::Gap { reason: GapReason::Dropped, .. })))
    };
    tokio::task::spawn_blocking(reading).await.map_err(Error::Reader)?
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
