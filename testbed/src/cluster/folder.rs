//! The cluster's folder: configuration, certificates and logs.
//!
//! A fresh one in the system's temporary folder, or the one that was named, which may be new, empty, or one that
//! `postern up` or `postern pki init` made before: then its CAs go on, so what they signed stays good, and everything
//! else is written anew. Once something was started it is never removed: its logs tell what happened.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::pki::{DEFAULT_TRUST_DOMAIN, Pki};

/// A folder that no other `postern up` uses at the same time.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_fresh: bool,
    _lock: File,
}

/// How long a lock may be somebody's who is about to lose it: a process that is just being started has copies of all open
/// files until it runs its program, and this may be the program that had the lock.
const INHERITED: Duration = Duration::from_millis(500);

fn try_lock(file: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + INHERITED;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            locked => return locked,
        }
    }
}

impl Folder {
    /// Takes `named`, or a fresh one.
    ///
    /// # Errors
    /// When it holds other things, is in use, or cannot be written.
    pub fn take(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => std::path::absolute(path)?,
            None => std::env::temp_dir().join(format!("postern-{:08x}", rand::random::<u32>())),
        };
        // The JSON line and the configuration files carry it as text.
        if path.to_str().is_none() {
            bail!(
                "the path of {} is not UTF-8; name another folder with --dir",
                path.display()
            );
        }
        let cannot = || format!("cannot use the folder {}", path.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(cannot)?;
        let empty = std::fs::read_dir(&path).with_context(cannot)?.next().is_none();
        let lock_path = path.join("up.lock");
        if !empty && !Pki::exists(&path) && !lock_path.exists() {
            bail!(
                "{} is not empty and was not made by postern; name a new folder with --dir, or leave it out for a \
                 fresh one",
                path.display()
            );
        }
        let lock = File::create(&lock_path).with_context(cannot)?;
        match try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another postern up is running on {}; end it, or name another folder with --dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.join("logs"))
            .with_context(cannot)?;
        Ok(Self {
            path,
            is_fresh: named.is_none(),
            _lock: lock,
        })
    }

    /// Gives it up before anything was started: a fresh one goes, since there is nothing in it to read and nobody knows
    /// its name.
    pub fn discard(self) {
        if self.is_fresh {
            // What cannot be removed stays in the system's temporary folder, for it to clear.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The PKI in it, made where there is none.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn pki(&self) -> anyhow::Result<Pki> {
        if Pki::exists(&self.path) {
            return Pki::open(&self.path);
        }
        Pki::init(&self.path, DEFAULT_TRUST_DOMAIN.parse()?)
    }

    /// Where a process's output goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let scratch = Scratch::new();
        std::fs::write(scratch.path().join("thesis.txt"), "").unwrap();
        let error = Folder::take(Some(scratch.path())).unwrap_err().to_string();
        assert!(error.contains("was not made by postern"), "{error}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_used_again_with_its_ca_but_not_twice_at_once() {
        let scratch = Scratch::new();
        let path = scratch.path().join("cluster");
        let folder = Folder::take(Some(&path)).unwrap();
        let ca = std::fs::read(folder.pki().unwrap().ca()).unwrap();
        let error = Folder::take(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("another postern up is running"), "{error}");
        drop(folder);
        let again = Folder::take(Some(&path)).unwrap();
        assert_eq!(std::fs::read(again.pki().unwrap().ca()).unwrap(), ca);
    }
}
