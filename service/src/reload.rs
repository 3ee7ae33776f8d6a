//! Noticing that a program's configuration is to be read again: on SIGHUP, and when its file has changed or one that it names.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Interval;

use crate::config::RawConfig;
use crate::program::read_config;

/// How often the files are looked at: a change should be in force as soon as whoever made it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches a configuration file and the files that it names.
#[derive(Debug)]
pub struct Watcher {
    path: PathBuf,
    files: Vec<PathBuf>,
    hangup: Signal,
    tick: Interval,
    /// What was read last with success.
    taken_over: Seen,
    /// What is being read.
    present: Seen,
    asked: bool,
    failed: Option<String>,
    told: Option<String>,
}

impl Watcher {
    /// A watcher of `path`, which has been read already and names `files`.
    ///
    /// # Errors
    /// When the handler for SIGHUP cannot be installed.
    pub async fn new(path: PathBuf, files: &[PathBuf]) -> std::io::Result<Self> {
        let taken_over = Seen::of(&path, files).await;
        Ok(Self {
            path,
            files: files.to_vec(),
            hangup: signal(SignalKind::hangup())?,
            tick: tokio::time::interval(INTERVAL),
            taken_over,
            present: Seen::default(),
            asked: false,
            failed: None,
            told: None,
        })
    }

    /// Waits until the configuration is to be read; then [`Watcher::succeeded`] or [`Watcher::failed`] is to be called.
    pub async fn due(&mut self) {
        loop {
            self.asked = tokio::select! {
                biased;
                _ = self.hangup.recv() => true,
                _ = self.tick.tick() => false,
            };
            // Before it is read: what is changed after that is noticed the next time.
            self.present = Seen::of(&self.path, &self.files).await;
            if self.asked || self.failed.is_some() || self.present != self.taken_over {
                return;
            }
        }
    }

    /// It was valid, and names these files now.
    pub fn succeeded(&mut self, files: &[PathBuf]) -> Success {
        let success = Success {
            awaited: self.asked || self.failed.is_some(),
            sections: self.taken_over.sections_unlike(&self.present),
        };
        let present = std::mem::take(&mut self.present);
        // Files that are named for the first time were not looked at: the next time tells, and nothing will have changed.
        self.taken_over = present;
        self.files = files.to_vec();
        (self.failed, self.told) = (None, None);
        success
    }

    /// It was not valid. Whether to say so now: files are exchanged one after another, so what does not fit may be right a
    /// moment later; and the same is not said each time that it is tried again.
    pub fn failed(&mut self, error: &str) -> bool {
        let again = self.asked || self.failed.as_deref() == Some(error);
        let tell = again && self.told.as_deref() != Some(error);
        if tell {
            self.told = Some(error.to_owned());
        }
        self.failed = Some(error.to_owned());
        tell
    }
}

/// A configuration that was read again.
#[derive(Debug)]
pub struct Success {
    /// Somebody waits to hear that it was: they asked, or heard before that it could not be.
    pub awaited: bool,
    /// The file's sections that are not as they were. Those that name a changed file and are the same are not among them.
    pub sections: Vec<String>,
}

/// Reads a configuration where no thread that serves has to wait for a disk, nor for a mount that hangs.
///
/// # Errors
/// What is wrong with it, for people.
pub async fn read<R: RawConfig<Config: Send + 'static>>(path: &Path) -> Result<R::Config, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_config::<R>(&path).map_err(|error| error.to_string()));
    read.await.unwrap_or_else(|_| Err("the program is ending".to_owned()))
}

/// What the files were when they were looked at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The configuration's content, not its time: it is looked at most carefully.
    content: Option<Vec<u8>>,
    /// The files that it names, with what changes when they are exchanged or written to. A symbolic link's target counts:
    /// a mounted Secret changes by the exchange of a link.
    files: Vec<(PathBuf, Option<Stamp>)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    async fn of(path: &Path, files: &[PathBuf]) -> Self {
        let (path, files) = (path.to_owned(), files.to_vec());
        let look = move || {
            let stamp = |path: PathBuf| {
                let stamp = std::fs::metadata(&path).ok().map(|file| Stamp {
                    inode: file.ino(),
                    length: file.len(),
                    modified: (file.mtime(), file.mtime_nsec()),
                    changed: (file.ctime(), file.ctime_nsec()),
                });
                (path, stamp)
            };
            Self {
                content: std::fs::read(&path).ok(),
                files: files.into_iter().map(stamp).collect(),
            }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    fn sections_unlike(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.table(), other.table());
        let names: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        names
            .into_iter()
            .filter(|&name| ours.get(name) != theirs.get(name))
            .cloned()
            .collect()
    }

    fn table(&self) -> toml::Table {
        let text = self
            .content
            .as_deref()
            .and_then(|content| std::str::from_utf8(content).ok());
        text.and_then(|text| toml::from_str(text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("postern-reload-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let (path, unfinished) = (self.0.join(name), self.0.join("unfinished"));
            std::fs::write(&unfinished, text).expect("written");
            std::fs::rename(unfinished, &path).expect("put in place");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn is_due(watcher: &mut Watcher) -> bool {
        tokio::time::timeout(INTERVAL * 3, watcher.due()).await.is_ok()
    }

    #[tokio::test]
    async fn a_changed_file_is_noticed_once_and_its_sections_are_named() {
        let folder = Folder::new("once");
        let path = folder.write("a.toml", "[a]\nx = 1\n[b]\nx = 1\n");
        let key = folder.write("key.pem", "one");
        let mut watcher = Watcher::new(path, std::slice::from_ref(&key)).await.expect("a watcher");
        assert!(!is_due(&mut watcher).await, "nothing has changed");
        folder.write("a.toml", "[a]\nx = 1\n[b]\nx = 2\n[c]\n");
        assert!(is_due(&mut watcher).await);
        let success = watcher.succeeded(std::slice::from_ref(&key));
        assert_eq!(
            (success.awaited, success.sections),
            (false, vec!["b".to_owned(), "c".to_owned()])
        );
        assert!(!is_due(&mut watcher).await, "it was read already");
        folder.write("key.pem", "two");
        assert!(is_due(&mut watcher).await, "a file that it names counts too");
        assert!(watcher.succeeded(&[key]).sections.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_valid_is_tried_again_and_told_once_if_it_stays_so() {
        let folder = Folder::new("again");
        let path = folder.write("a.toml", "");
        let mut watcher = Watcher::new(path, &[]).await.expect("a watcher");
        folder.write("a.toml", "[a]\n");
        let mut told = Vec::new();
        for error in ["half", "half", "half", "other", "other"] {
            assert!(is_due(&mut watcher).await, "it is not tried again");
            told.push(watcher.failed(error));
        }
        assert_eq!(told, [false, true, false, false, true]);
        assert!(is_due(&mut watcher).await);
        assert!(
            watcher.succeeded(&[]).awaited,
            "who was told of the error hears of its end"
        );
        assert!(!is_due(&mut watcher).await);
    }
}
