//! Standard error, with lines gathered while they come thick: a system call for each of thousands a second costs as much
//! as making them.
//!
//! A line after a pause is written at once, and so is everything from `warn` up, behind what was gathered before it.
//! What follows within [`GATHER`] waits for the end of it. A process that is killed outright loses no more than that.
//!
//! Nobody waits for what the log's own thread is writing: where standard error takes nothing, lines are gathered, and beyond
//! [`MOST_HELD`] dropped and counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(50);

/// With so much gathered it is written before: some 400 lines.
const MOST: usize = 64 * 1024;

/// So much is held for a standard error that takes nothing.
const MOST_HELD: usize = 1024 * 1024;

/// What is written with one call: a pipe that several processes write to takes so much in one piece (`PIPE_BUF`).
const PIECE: usize = 4_096;

/// Where lines go. Cheap to clone.
#[derive(Debug)]
pub(super) struct Lines<W> {
    shared: Arc<Shared<W>>,
}

impl<W> Clone for Lines<W> {
    fn clone(&self) -> Self {
        let shared = self.shared.clone();
        Self { shared }
    }
}

#[derive(Debug)]
struct Shared<W> {
    state: Mutex<State>,
    /// Taken before the state, by whoever writes.
    out: Mutex<W>,
    gathering: Condvar,
}

#[derive(Debug, Default)]
struct State {
    gathered: Vec<u8>,
    /// Lines for which there was no room.
    dropped: u64,
    /// The last time that something was written.
    written: Option<Instant>,
}

impl State {
    /// Takes a line in. Whether it is to be written at once.
    fn line(&mut self, line: &[u8], urgent: bool, now: Instant) -> bool {
        if self.gathered.len() + line.len() > MOST_HELD {
            self.dropped += 1;
            return false;
        }
        let pause = self.written.is_none_or(|written| now - written >= GATHER);
        let first = self.gathered.is_empty();
        self.gathered.extend_from_slice(line);
        urgent || first && pause || self.gathered.len() >= MOST
    }

    /// What is to be written now.
    fn take(&mut self, now: Instant) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.gathered);
        if self.dropped > 0 {
            let told = format!(
                "{} lines of the log were dropped: standard error took none\n",
                self.dropped
            );
            lines.extend_from_slice(told.as_bytes());
            self.dropped = 0;
        }
        if !lines.is_empty() {
            self.written = Some(now);
        }
        lines
    }
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Lines to `out`, with a thread that writes what was gathered when its time is over.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn to(out: W) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(out));
        let writer = shared.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_for_ever())?;
        Ok(Self { shared })
    }

    /// Writes what was gathered.
    pub(super) fn flush(&self) {
        self.shared.write_out(lock(&self.shared.out), Instant::now());
    }
}

impl<W: Write> Shared<W> {
    fn new(out: W) -> Self {
        Self {
            state: Mutex::default(),
            out: Mutex::new(out),
            gathering: Condvar::new(),
        }
    }

    fn line(&self, line: &[u8], urgent: bool, now: Instant) {
        let at_once = lock(&self.state).line(line, urgent, now);
        match self.out.try_lock() {
            Ok(out) if at_once => self.write_out(out, now),
            // It is being written to, or there is time: the log's own thread takes it with the others.
            _ => self.gathering.notify_one(),
        }
    }

    fn write_out(&self, mut out: MutexGuard<'_, W>, now: Instant) {
        let lines = lock(&self.state).take(now);
        for piece in pieces(&lines) {
            // Nothing can be done about a closed standard error.
            let _ = out.write_all(piece);
        }
    }

    fn write_for_ever(&self) {
        loop {
            let state = lock(&self.state);
            let waiting = self.gathering.wait_while(state, |state| state.gathered.is_empty());
            drop(waiting);
            std::thread::sleep(GATHER);
            self.write_out(lock(&self.out), Instant::now());
        }
    }
}

/// Whole lines, as many as fit into [`PIECE`]; a longer one by itself.
fn pieces(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let first = lines.get(..PIECE).map_or(Some(lines.len()), end);
        let length = first.or_else(|| lines.iter().position(|byte| *byte == b'\n').map(|at| at + 1));
        let (piece, rest) = lines.split_at(length.unwrap_or(lines.len()));
        lines = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Half a line at the worst, if the output panicked in the middle of it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line on its way.
#[derive(Debug)]
pub(super) struct Line<'a, W> {
    lines: &'a Lines<W>,
    urgent: bool,
}

impl<'a, W: Write + 'static> MakeWriter<'a> for Lines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            lines: self,
            urgent: true,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Line {
            lines: self,
            urgent: *metadata.level() <= Level::WARN,
        }
    }
}

impl<W: Write> Write for Line<'_, W> {
    /// Takes a whole line, as tracing gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.shared.line(line, self.urgent, Instant::now());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Out(Arc<Mutex<Vec<String>>>);

    impl Out {
        /// What was written so far, a text for each call.
        fn writes(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_a_pause_is_written_at_once_and_those_behind_it_are_gathered() {
        let (out, start) = (Out::default(), Instant::now());
        let shared = Shared::new(out.clone());
        shared.line(b"a\n", false, start);
        shared.line(b"b\n", false, start);
        shared.line(b"c\n", false, start + GATHER / 2);
        assert_eq!(out.writes(), ["a\n"]);
        shared.write_out(lock(&shared.out), start + GATHER);
        assert_eq!(out.writes(), ["a\n", "b\nc\n"]);
        shared.line(b"d\n", false, start + 2 * GATHER);
        assert_eq!(out.writes(), ["a\n", "b\nc\n", "d\n"]);
    }

    #[test]
    fn what_an_operator_must_see_waits_for_nothing_and_overtakes_nothing() {
        let (out, start) = (Out::default(), Instant::now());
        let shared = Shared::new(out.clone());
        shared.line(b"a\n", false, start);
        shared.line(b"b\n", false, start);
        shared.line(b"trouble\n", true, start);
        assert_eq!(out.writes(), ["a\n", "b\ntrouble\n"]);
    }

    #[test]
    fn nobody_waits_for_an_output_that_takes_nothing_and_what_is_held_for_it_is_bounded() {
        let (out, start) = (Out::default(), Instant::now());
        let shared = Shared::new(out.clone());
        let blocked = lock(&shared.out);
        let line = [b'x'; 1_023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        for _ in 0..MOST_HELD / 1_024 + 7 {
            shared.line(&line, true, start);
        }
        assert!(out.writes().is_empty());
        shared.write_out(blocked, start);
        let written = out.writes().concat();
        assert!(written.len() < MOST_HELD + 1_024);
        assert!(written.ends_with("x\n7 lines of the log were dropped: standard error took none\n"));
    }

    #[test]
    fn lines_are_written_whole_and_in_pieces_that_a_pipe_takes_at_once() {
        let long = "y".repeat(2 * PIECE) + "\n";
        let text = "a line of the log\n".repeat(500) + &long + "the last\n" + "an end";
        let all: Vec<&[u8]> = pieces(text.as_bytes()).collect();
        assert_eq!(all.concat(), text.as_bytes());
        let whole = all.iter().rev().skip(1).all(|piece| piece.ends_with(b"\n"));
        assert!(
            whole
                && all
                    .iter()
                    .all(|piece| piece.len() <= PIECE || *piece == long.as_bytes())
        );
    }

    #[test]
    fn gathered_lines_are_written_though_nothing_follows_them() {
        let out = Out::default();
        let lines = Lines::to(out.clone()).unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            let mut writer = Line {
                lines: &lines,
                urgent: false,
            };
            writer.write_all(line.as_bytes()).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while out.writes().concat() != "a\nb\nc\n" {
            assert!(Instant::now() < deadline, "{:?}", out.writes());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
