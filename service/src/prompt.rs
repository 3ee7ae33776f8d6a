//! Asking the person at the terminal for a password without showing what is typed.
//!
//! The terminal itself is asked, so that standard input and output may be pipes. It is put back as it was in every
//! case, also when the person gives up with Ctrl-C, which therefore is a character here and no signal, and when nobody
//! waits for the answer any more.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, PipeReader, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Bytes that are read at most. Allocated at once: a buffer that grows would leave copies behind.
const MOST: usize = 4096;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Nobody can be asked.
    #[error("there is no terminal to ask at: {0}")]
    NoTerminal(io::Error),
    /// The person gave up with Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// More was typed or pasted than any password has.
    #[error("that is longer than {MOST} bytes")]
    TooLong,
    /// The terminal failed.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Shows `question` at the process's terminal and reads a line, which may be empty and need not be UTF-8. Dropped before
/// there is an answer, it asks no more: the terminal is as it was by the time the runtime has ended.
///
/// # Errors
/// [`PromptError`].
pub async fn ask_password(question: String) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let terminal = own_terminal()?;
    // This end is dropped with the future, and the other one sees that.
    let (given_up, _waiting) = io::pipe()?;
    let asking = tokio::task::spawn_blocking(move || ask_at(&terminal, &question, &given_up));
    match asking.await {
        Ok(answer) => answer,
        Err(ended) => Err(PromptError::Terminal(io::Error::other(ended))),
    }
}

/// As [`ask_password`] while somebody sits at standard input; otherwise the first line that comes from there,
/// as it is: a runtime that ends before that has come must not wait for it.
///
/// # Errors
/// [`PromptError`].
pub async fn read_password(question: String) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let input = io::stdin();
    if input.is_terminal() {
        return ask_password(question).await;
    }
    // Not through the library's buffer, which would keep a copy.
    let input = File::from(input.as_fd().try_clone_to_owned()?);
    match tokio::task::spawn_blocking(move || first_line(input)).await {
        Ok(answer) => answer,
        Err(ended) => Err(PromptError::Terminal(io::Error::other(ended))),
    }
}

fn first_line(mut from: impl Read) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let mut line = Zeroizing::new(Vec::with_capacity(MOST));
    loop {
        let mut byte = Zeroizing::new([0_u8]);
        if from.read(&mut *byte)? == 0 || byte[0] == b'\n' {
            break;
        }
        if line.len() == MOST {
            return Err(PromptError::TooLong);
        }
        line.push(byte[0]);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

fn own_terminal() -> Result<File, PromptError> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    terminal.map_err(PromptError::NoTerminal)
}

fn ask_at(mut terminal: &File, question: &str, given_up: &PipeReader) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let quiet = Quiet::begin(terminal).map_err(PromptError::NoTerminal)?;
    terminal.write_all(question.as_bytes())?;
    let typed = read_line(Keys { terminal, given_up });
    drop(quiet);
    // Enter was not shown either.
    terminal.write_all(b"\n")?;
    typed
}

/// What is typed, until the other end of `given_up` is closed.
struct Keys<'a> {
    terminal: &'a File,
    given_up: &'a PipeReader,
}

impl Read for Keys<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut either = [
            PollFd::new(self.given_up, PollFlags::IN),
            PollFd::new(self.terminal, PollFlags::IN),
        ];
        while let Err(error) = poll(&mut either, None) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        if !either[0].revents().is_empty() {
            return Err(io::Error::other("nobody waits for the answer any more"));
        }
        self.terminal.read(buffer)
    }
}

/// The terminal shows nothing and gives every key at once, until this is dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question was meant for something else.
        tcsetattr(terminal.as_fd(), OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // The rest of what was typed belongs to the answer, and must not be shown by whoever reads next. A terminal that is
        // gone needs no mending.
        let _ = tcflush(self.terminal.as_fd(), QueueSelector::IFlush);
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Now, &self.before);
    }
}

/// A line as somebody types it: with corrections, ended by Enter or Ctrl-D.
fn read_line(mut from: impl Read) -> Result<Zeroizing<Vec<u8>>, PromptError> {
    let mut line = Zeroizing::new(Vec::with_capacity(MOST));
    loop {
        let mut key = Zeroizing::new([0_u8]);
        if from.read(&mut *key)? == 0 {
            return Ok(line);
        }
        match key[0] {
            b'\r' | b'\n' | END => return Ok(line),
            INTERRUPT => return Err(PromptError::Interrupted),
            KILL_LINE => line.clear(),
            // A letter of UTF-8 may have several bytes.
            BACKSPACE | DELETE => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            _ if line.len() == MOST => return Err(PromptError::TooLong),
            byte => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    fn typed(keys: &str) -> Result<String, PromptError> {
        let line = read_line(keys.as_bytes())?;
        Ok(String::from_utf8(line.to_vec()).unwrap())
    }

    #[test]
    fn a_line_is_corrected_as_people_are_used_to() {
        assert_eq!(typed("secret\nmore").unwrap(), "secret");
        assert_eq!(typed("secrät\u{7f}\u{7f}et\r").unwrap(), "secret");
        assert_eq!(typed("wrong\u{15}right\u{4}").unwrap(), "right");
        assert_eq!(typed("\u{8}\n").unwrap(), "");
        assert!(matches!(typed("sec\u{3}ret\n"), Err(PromptError::Interrupted)));
        assert!(matches!(typed(&"x".repeat(MOST + 1)), Err(PromptError::TooLong)));
    }

    #[test]
    fn a_line_that_nobody_types_is_taken_as_it_is() {
        let line = |bytes: &[u8]| first_line(bytes).map(|line| line.to_vec());
        assert_eq!(line(b"a\x7fb\x03 \r\nmore\n").unwrap(), b"a\x7fb\x03 ");
        assert_eq!(line(b"no end").unwrap(), b"no end");
        assert_eq!(line(b"").unwrap(), b"");
        assert!(matches!(line(&[b'x'; MOST + 1]), Err(PromptError::TooLong)));
    }

    /// A keyboard with its screen, and the terminal between them.
    fn terminal() -> (File, File) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let keyboard = openpt(flags).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let terminal = File::from(ioctl_tiocgptpeer(&keyboard, flags).unwrap());
        (File::from(keyboard), terminal)
    }

    fn until_asked(mut screen: &File) {
        let mut shown = [0; 10];
        screen.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"Password: ");
    }

    #[test]
    fn nothing_typed_is_shown_and_the_terminal_is_put_back() {
        let (mut keyboard, terminal) = terminal();
        let before = tcgetattr(&terminal).unwrap().local_modes;
        assert!(before.contains(LocalModes::ECHO));
        let (waiting_for, _waiting) = io::pipe().unwrap();
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_at(&terminal, "Password: ", &waiting_for));
            until_asked(&keyboard);
            keyboard.write_all("pässword\r".as_bytes()).unwrap();
            asking.join().unwrap().unwrap()
        });
        assert_eq!(&**asked, "pässword".as_bytes());
        assert_eq!(tcgetattr(&terminal).unwrap().local_modes, before);
        let mut rest = [0; 64];
        let read = keyboard.read(&mut rest).unwrap();
        assert_eq!(rest[..read].escape_ascii().to_string(), "\\r\\n");
    }
    #[test]
    fn the_terminal_is_put_back_when_nobody_waits_any_more() {
        let (mut keyboard, terminal) = terminal();
        let before = tcgetattr(&terminal).unwrap().local_modes;
        let (given_up, waiting) = io::pipe().unwrap();
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_at(&terminal, "Password: ", &given_up));
            until_asked(&keyboard);
            keyboard.write_all(b"half a passw").unwrap();
            drop(waiting);
            asking.join().unwrap()
        });
        assert!(matches!(asked, Err(PromptError::Terminal(_))));
        assert_eq!(tcgetattr(&terminal).unwrap().local_modes, before);
    }
}
