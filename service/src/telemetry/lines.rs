//! Standard error, with lines gathered while they come thick: a system call for each of thousands a second costs as much
//! as making them.
//!
//! A line after a pause is written at once, and so is everything from `warn` up, behind what was gathered before it.
//! What follows within [`GATHER`] waits for the end of it. A process that is killed outright loses no more than that.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(50);

/// With so much gathered it is written before: some 400 lines.
const MOST: usize = 64 * 1024;

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
    state: Mutex<State<W>>,
    gathering: Condvar,
}

#[derive(Debug)]
struct State<W> {
    out: W,
    gathered: Vec<u8>,
    /// The last time that something was written.
    written: Option<Instant>,
}

impl<W: Write> State<W> {
    fn write_out(&mut self, now: Instant) {
        if !self.gathered.is_empty() {
            // Nothing can be done about a closed standard error.
            let _ = self.out.write_all(&self.gathered);
            self.gathered.clear();
        }
        self.written = Some(now);
    }

    /// Whether the line was written, and not gathered.
    fn line(&mut self, line: &[u8], urgent: bool, now: Instant) -> bool {
        let pause = self.written.is_none_or(|written| now - written >= GATHER);
        let first = self.gathered.is_empty();
        self.gathered.extend_from_slice(line);
        let at_once = urgent || first && pause || self.gathered.len() >= MOST;
        if at_once {
            self.write_out(now);
        }
        at_once
    }
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Lines to `out`, with a thread that writes what was gathered when its time is over.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn to(out: W) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                out,
                gathered: Vec::new(),
                written: None,
            }),
            gathering: Condvar::new(),
        });
        let writer = shared.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_for_ever())?;
        Ok(Self { shared })
    }

    /// Writes what was gathered.
    pub(super) fn flush(&self) {
        self.shared.lock().write_out(Instant::now());
    }
}

impl<W: Write> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // Half a line at the worst, if the output panicked in the middle of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self) {
        loop {
            let state = self.lock();
            let waiting = self.gathering.wait_while(state, |state| state.gathered.is_empty());
            drop(waiting);
            std::thread::sleep(GATHER);
            self.lock().write_out(Instant::now());
        }
    }
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
        let mut state = self.lines.shared.lock();
        let gathering = !state.gathered.is_empty();
        let written = state.line(line, self.urgent, Instant::now());
        drop(state);
        if !written && !gathering {
            self.lines.shared.gathering.notify_one();
        }
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

    fn state(out: &Out) -> State<Out> {
        State {
            out: out.clone(),
            gathered: Vec::new(),
            written: None,
        }
    }

    #[test]
    fn a_line_after_a_pause_is_written_at_once_and_those_behind_it_are_gathered() {
        let (out, start) = (Out::default(), Instant::now());
        let mut state = state(&out);
        assert!(state.line(b"a\n", false, start));
        assert!(!state.line(b"b\n", false, start));
        assert!(!state.line(b"c\n", false, start + GATHER / 2));
        assert_eq!(out.writes(), ["a\n"]);
        state.write_out(start + GATHER);
        assert_eq!(out.writes(), ["a\n", "b\nc\n"]);
        assert!(state.line(b"d\n", false, start + 2 * GATHER));
    }

    #[test]
    fn what_an_operator_must_see_waits_for_nothing_and_overtakes_nothing() {
        let (out, start) = (Out::default(), Instant::now());
        let mut state = state(&out);
        state.line(b"a\n", false, start);
        state.line(b"b\n", false, start);
        assert!(state.line(b"trouble\n", true, start));
        assert_eq!(out.writes(), ["a\n", "b\ntrouble\n"]);
    }

    #[test]
    fn what_is_gathered_is_bounded() {
        let (out, start) = (Out::default(), Instant::now());
        let mut state = state(&out);
        state.line(b"a\n", false, start);
        let long = [b'x'; MOST / 4];
        let written: Vec<bool> = (0..4).map(|_| state.line(&long, false, start)).collect();
        assert_eq!(written, [false, false, false, true]);
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
