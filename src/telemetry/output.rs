//! The output of log lines: a bounded queue, and a thread that writes what it holds.
//!
//! Whoever logs only appends to the queue. If the output accepts no more bytes, such as a pipe that nobody
//! reads, the thread waits and the queue fills; then lines are dropped and counted. The count is written as
//! a line of its own as soon as the output accepts lines again. Lines that could not be written because of
//! an error, such as a full disk, are counted in the same way.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Size of the queue in bytes. The lines that are being written are not part of it, so that up to twice as
/// many bytes are in memory.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// Part of the queue that is kept for important lines: warnings and errors of the service, in bytes.
const RESERVED_BYTES: usize = QUEUE_BYTES_MAX / 4;

/// Pause before an output that is in non-blocking mode is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Makes the line that tells the number of dropped lines, with a line break.
pub(super) type DroppedLine = Box<dyn Fn(u64) -> String + Send>;

/// The queue of log lines. Clones share it.
#[derive(Clone)]
pub(super) struct LineQueue {
    shared: Arc<Shared>,
}

/// State of the log output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputState {
    /// Lines dropped since the start.
    pub lines_dropped: u64,
    /// Lines suppressed since the start, because they exceeded the budget of the log output.
    pub lines_suppressed: u64,
    /// Error reports to Sentry suppressed since the start, because they exceeded their budget.
    pub reports_suppressed: u64,
    /// Time for which the output has not accepted the lines that are being written; zero if none are.
    pub blocked: Duration,
    /// Error of the last write, if it failed.
    pub error: Option<String>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Whole lines, each with its line break.
    pending: Vec<u8>,
    /// Lines dropped since the last time that the thread took the pending ones.
    skipped: u64,
    /// Lines dropped since the start.
    dropped: u64,
    /// Start of the write in progress.
    writing: Option<Instant>,
    /// Error of the last write.
    error: Option<String>,
}

impl LineQueue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// Fails if the thread cannot be started.
    pub(super) fn start(out: Box<dyn Write + Send>, dropped_line: DroppedLine) -> io::Result<Self> {
        let queue = Self { shared: Arc::default() };
        let shared = Arc::clone(&queue.shared);
        let writer = LineWriter { out, dropped_line, unwritten: 0, is_torn: false };
        thread::Builder::new().name("log-output".to_owned()).spawn(move || run(&shared, writer))?;
        Ok(queue)
    }

    /// Queues a line, which must end with a line break, or drops it if the queue is full. Never waits for the
    /// output.
    pub(super) fn push(&self, line: &str, is_important: bool) {
        let mut queue = self.shared.lock();
        let max = if is_important { QUEUE_BYTES_MAX } else { QUEUE_BYTES_MAX - RESERVED_BYTES };
        if queue.pending.len().saturating_add(line.len()) > max {
            queue.skipped += 1;
            queue.dropped += 1;
            return;
        }
        let was_empty = queue.pending.is_empty();
        queue.pending.extend_from_slice(line.as_bytes());
        drop(queue);
        if was_empty {
            self.shared.changed.notify_all();
        }
    }

    /// Waits until all queued lines are written, at most for this time.
    pub(super) fn flush(&self, timeout: Duration) {
        let queue = self.shared.lock();
        let is_unwritten = |queue: &mut Queue| !queue.pending.is_empty() || queue.writing.is_some();
        drop(self.shared.changed.wait_timeout_while(queue, timeout, is_unwritten));
    }

    /// The state of the output, without the lines that never came here.
    pub(super) fn state(&self) -> OutputState {
        let queue = self.shared.lock();
        OutputState {
            lines_dropped: queue.dropped,
            lines_suppressed: 0,
            reports_suppressed: 0,
            blocked: queue.writing.map(|since| since.elapsed()).unwrap_or_default(),
            error: queue.error.clone(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the queued lines; never returns.
fn run(shared: &Shared, mut writer: LineWriter) {
    loop {
        let waited = shared.changed.wait_while(shared.lock(), |queue| queue.pending.is_empty());
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        let (lines, skipped) = (std::mem::take(&mut queue.pending), std::mem::take(&mut queue.skipped));
        queue.writing = Some(Instant::now());
        drop(queue);
        let result = writer.write(&lines, skipped);
        let mut queue = shared.lock();
        queue.writing = None;
        queue.error = result.err().map(|(lost, error)| {
            queue.dropped += lost;
            error.to_string()
        });
        drop(queue);
        shared.changed.notify_all();
    }
}

/// Writes lines, and counts those that an error kept from being written.
struct LineWriter {
    out: Box<dyn Write + Send>,
    dropped_line: DroppedLine,
    /// Lines that were not written, and for which no line with their count was written.
    unwritten: u64,
    /// Whether the last write ended within a line.
    is_torn: bool,
}

impl LineWriter {
    /// Writes `lines`, after which `skipped` lines are missing, and the counts of missing lines. After an
    /// error, returns also the number of `lines` that were not written.
    fn write(&mut self, lines: &[u8], skipped: u64) -> Result<(), (u64, io::Error)> {
        let before = self.unwritten;
        self.write_count(before).map_err(|error| {
            let lost = count_lines(lines);
            self.unwritten = before + lost + skipped;
            (lost, error)
        })?;
        self.unwritten = 0;
        self.write_bytes(lines).map_err(|(written, error)| {
            let lost = count_lines(lines.get(written..).unwrap_or_default());
            self.unwritten = lost + skipped;
            (lost, error)
        })?;
        self.write_count(skipped).map_err(|error| {
            self.unwritten = skipped;
            (0, error)
        })
    }

    /// Writes the line with the number of missing lines, if there are any.
    fn write_count(&mut self, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let line = (self.dropped_line)(count);
        self.write_bytes(line.as_bytes()).map_err(|(_, error)| error)
    }

    /// Writes all bytes. After an error, returns the number of bytes written as well.
    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.is_torn {
            self.write_all(b"\n")?;
            self.is_torn = false;
        }
        self.write_all(bytes).inspect_err(|(written, _)| {
            let last = written.checked_sub(1).and_then(|last| bytes.get(last));
            self.is_torn = last.is_some_and(|byte| *byte != b'\n');
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.out.write(rest) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    crate::num::to_u64(bytes.iter().filter(|byte| **byte == b'\n').count())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output whose every write is answered by the test.
    struct Scripted {
        /// Bytes passed to each write.
        offered: Sender<Vec<u8>>,
        /// Result of each write; waits for it.
        results: Receiver<io::Result<usize>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.offered.send(bytes.to_vec()).unwrap();
            self.results.recv().unwrap()
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Script {
        queue: LineQueue,
        offered: Receiver<Vec<u8>>,
        results: Sender<io::Result<usize>>,
    }

    impl Script {
        fn start() -> Self {
            let ((offer, offered), (results, result)) = (channel(), channel());
            let out = Scripted { offered: offer, results: result };
            let dropped_line = Box::new(|count| format!("{count} dropped\n"));
            Self { queue: LineQueue::start(Box::new(out), dropped_line).unwrap(), offered, results }
        }

        /// Waits for a write, accepts so many of its bytes, and returns them.
        fn accept(&self, max: usize) -> String {
            let bytes = self.offered.recv().unwrap();
            let accepted = &bytes[..max.min(bytes.len())];
            self.results.send(Ok(accepted.len())).unwrap();
            String::from_utf8(accepted.to_vec()).unwrap()
        }

        fn fail(&self, kind: ErrorKind) {
            self.offered.recv().unwrap();
            self.results.send(Err(kind.into())).unwrap();
        }
    }

    const ALL: usize = usize::MAX;

    #[test]
    fn lines_beyond_the_queue_are_dropped_and_the_count_follows_the_last_line_before_them() {
        let script = Script::start();
        script.queue.push("first\n", false);
        assert_eq!(script.accept(2), "fi");
        // The output accepts nothing while these lines come.
        let line = "x".repeat(QUEUE_BYTES_MAX / 8 - 1) + "\n";
        (0..10).for_each(|_| script.queue.push(&line, false));
        let state = script.queue.state();
        assert_eq!((state.lines_dropped, state.error), (4, None));
        assert!(state.blocked > Duration::ZERO);
        // The last part of the queue is for warnings and errors.
        (0..3).for_each(|_| script.queue.push(&line, true));
        assert_eq!(script.queue.state().lines_dropped, 5);
        assert_eq!(script.accept(ALL), "rst\n");
        assert_eq!(script.accept(ALL).len(), QUEUE_BYTES_MAX);
        assert_eq!(script.accept(ALL), "5 dropped\n");
        script.queue.push("last\n", false);
        assert_eq!(script.accept(ALL), "last\n");
        script.queue.flush(Duration::MAX);
        assert_eq!(script.queue.state(), OutputState { lines_dropped: 5, ..Default::default() });
    }

    #[test]
    fn lines_that_an_error_kept_back_are_counted_and_a_torn_line_is_ended() {
        let script = Script::start();
        script.queue.push("one\n", false);
        script.accept(1);
        script.queue.push("two\nthree\n", false);
        script.fail(ErrorKind::StorageFull);
        // "one" is torn and lost; the lines after it are tried.
        script.fail(ErrorKind::Interrupted);
        assert_eq!(script.accept(ALL), "\n");
        assert_eq!(script.accept(ALL), "1 dropped\n");
        script.fail(ErrorKind::StorageFull);
        script.queue.flush(Duration::MAX);
        let state = script.queue.state();
        assert_eq!((state.lines_dropped, state.error.is_some()), (3, true));
        script.queue.push("four\n", false);
        script.fail(ErrorKind::WouldBlock);
        assert_eq!(script.accept(ALL), "2 dropped\n");
        assert_eq!(script.accept(ALL), "four\n");
        script.queue.flush(Duration::MAX);
        assert_eq!(script.queue.state(), OutputState { lines_dropped: 3, ..Default::default() });
    }

    #[test]
    fn a_flush_does_not_wait_longer_than_it_may() {
        let script = Script::start();
        script.queue.push("line\n", false);
        assert_eq!(script.offered.recv().unwrap(), b"line\n");
        script.queue.flush(Duration::from_millis(1));
        assert!(script.queue.state().blocked > Duration::ZERO);
    }
}
