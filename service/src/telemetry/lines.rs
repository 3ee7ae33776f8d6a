//! Standard error, with lines gathered while they come thick: a system call for each of thousands a second costs as much
//! as making them.
//!
//! A line after a pause is written at once, and so is everything from `warn` up, behind what was gathered before it.
//! What follows within [`GATHER`] waits for the end of it. A process that is killed outright loses no more than that.
//!
//! Only the log's own thread writes, so nobody waits for a standard error that takes nothing (a full pipe whose reader has
//! stopped): lines are gathered, and beyond [`MOST_HELD`] dropped and counted.

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
#[derive(Debug, Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to gather, or to write at once.
    more: Condvar,
    /// Something was written.
    less: Condvar,
}

#[derive(Debug, Default)]
struct State {
    gathered: Vec<u8>,
    /// What was gathered is to be written now.
    at_once: bool,
    /// What was gathered before is being written.
    writing: bool,
    /// Lines for which there was no room.
    dropped: u64,
    /// The last time that something was written.
    written: Option<Instant>,
}

impl State {
    /// Takes a line in. Whether the log's thread is to know.
    fn line(&mut self, line: &[u8], urgent: bool, now: Instant) -> bool {
        if self.gathered.len() + line.len() > MOST_HELD {
            self.dropped += 1;
            return false;
        }
        let pause = self.written.is_none_or(|written| now - written >= GATHER);
        let first = self.gathered.is_empty();
        self.gathered.extend_from_slice(line);
        let at_once = urgent || first && pause || self.gathered.len() >= MOST;
        let news = first || at_once && !self.at_once;
        self.at_once |= at_once;
        news
    }

    /// What is to be written now, and how many lines were dropped behind it.
    fn take(&mut self, now: Instant) -> (Vec<u8>, u64) {
        self.at_once = false;
        self.written = Some(now);
        (std::mem::take(&mut self.gathered), std::mem::take(&mut self.dropped))
    }
}

impl Lines {
    /// Lines to `out`, by a thread that writes them. `tell_dropped` is told of so many lines that there was no room for,
    /// and may make a line of it.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn to(out: impl Write + Send + 'static, tell_dropped: fn(u64)) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_for_ever(out, tell_dropped))?;
        Ok(Self { shared })
    }

    /// Waits until what was gathered is written, as long as `patience` at the most.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.shared.lock();
        state.at_once = true;
        self.shared.more.notify_one();
        let pending = |state: &mut State| state.writing || !state.gathered.is_empty();
        let _ = self.shared.less.wait_timeout_while(state, patience, pending);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Half a line at the worst, if a line's maker panicked in the middle of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, line: &[u8], urgent: bool, now: Instant) {
        if self.lock().line(line, urgent, now) {
            self.more.notify_one();
        }
    }

    fn write_for_ever(&self, mut out: impl Write, tell_dropped: fn(u64)) {
        loop {
            let state = self.lock();
            let nothing = |state: &mut State| state.gathered.is_empty();
            let state = self
                .more
                .wait_while(state, nothing)
                .unwrap_or_else(PoisonError::into_inner);
            let in_time = |state: &mut State| !state.at_once;
            let gathered = self.more.wait_timeout_while(state, GATHER, in_time);
            let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            let (lines, dropped) = state.take(Instant::now());
            state.writing = true;
            drop(state);
            for piece in pieces(&lines) {
                // Nothing can be done about a closed standard error.
                let _ = out.write_all(piece);
            }
            if dropped > 0 {
                tell_dropped(dropped);
            }
            self.lock().writing = false;
            self.less.notify_all();
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

/// One line on its way.
#[derive(Debug)]
pub(super) struct Line<'a> {
    lines: &'a Lines,
    urgent: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

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

impl Write for Line<'_> {
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

    use std::sync::mpsc::{Receiver, Sender, channel};

    /// What each call writes goes here; a call waits until it is allowed, for ever where nobody will.
    struct Out {
        writes: Sender<String>,
        allowed: Option<Receiver<()>>,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(allowed) = &self.allowed {
                allowed.recv().map_err(io::Error::other)?;
            }
            let _ = self.writes.send(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn text(taken: (Vec<u8>, u64)) -> String {
        String::from_utf8(taken.0).unwrap()
    }

    #[test]
    fn a_line_after_a_pause_is_written_at_once_and_those_behind_it_are_gathered() {
        let (mut state, start) = (State::default(), Instant::now());
        assert!(state.line(b"a\n", false, start) && state.at_once);
        assert_eq!(text(state.take(start)), "a\n");
        assert!(state.line(b"b\n", false, start) && !state.at_once);
        assert!(!state.line(b"c\n", false, start + GATHER / 2) && !state.at_once);
        assert_eq!(text(state.take(start + GATHER)), "b\nc\n");
        assert!(state.line(b"d\n", false, start + 2 * GATHER) && state.at_once);
    }

    #[test]
    fn what_an_operator_must_see_waits_for_nothing_and_overtakes_nothing() {
        let (mut state, start) = (State::default(), Instant::now());
        state.take(start);
        state.line(b"a\n", false, start);
        assert!(!state.at_once);
        assert!(state.line(b"trouble\n", true, start) && state.at_once);
        assert_eq!(text(state.take(start)), "a\ntrouble\n");
    }

    #[test]
    fn nobody_waits_for_an_output_that_takes_nothing_and_what_is_held_for_it_is_bounded() {
        static DROPPED: Mutex<u64> = Mutex::new(0);
        let ((writes, written), (allow, allowed)) = (channel(), channel());
        let out = Out {
            writes,
            allowed: Some(allowed),
        };
        let lines = Lines::to(out, |dropped| *DROPPED.lock().unwrap() += dropped).unwrap();
        let line = [b'x'; 1_023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        lines.shared.line(&line, true, Instant::now());
        // The thread has it, and stands.
        while !lines.shared.lock().writing {
            std::thread::yield_now();
        }
        for _ in 0..MOST_HELD / 1_024 + 7 {
            lines.shared.line(&line, true, Instant::now());
        }
        lines.flush(Duration::from_millis(20));
        assert!(written.try_recv().is_err());
        assert_eq!(lines.shared.lock().gathered.len(), MOST_HELD);
        // Now it takes all.
        for _ in 0..=MOST_HELD / PIECE {
            allow.send(()).unwrap();
        }
        lines.flush(LONG);
        let all: usize = written.try_iter().map(|text| text.len()).sum();
        assert_eq!((all, *DROPPED.lock().unwrap()), (MOST_HELD + 1_024, 7));
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
    fn gathered_lines_are_written_though_nothing_follows_them_and_flushed_at_the_end() {
        let (writes, written) = channel();
        let lines = Lines::to(Out { writes, allowed: None }, |_| ()).unwrap();
        let line = |text: &str| {
            let (lines, urgent) = (&lines, false);
            Line { lines, urgent }.write_all(text.as_bytes()).unwrap();
        };
        ["a\n", "b\n", "c\n"].into_iter().for_each(line);
        let mut all = String::new();
        while all != "a\nb\nc\n" {
            all += &written.recv_timeout(LONG).unwrap();
        }
        line("d\n");
        lines.flush(LONG);
        assert_eq!(written.try_iter().collect::<String>(), "d\n");
    }
}
