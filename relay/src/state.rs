//! What a relay keeps from one start to the next: the secret by which agents notice at once that it has restarted.
//!
//! One folder per replica. Nothing in it is worth a backup: without it agents notice a restarted relay by its silence.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use postern_protocol::transport::{RESET_SECRET_BYTES, ResetSecret};
use rand::RngCore;

/// The file in the folder.
const RESET_SECRET: &str = "stateless-reset.key";

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("relay.state: {}: {source}; the relay needs a folder of its own that it may write to", path.display())]
    Refused {
        /// What it was refused for.
        path: PathBuf,
        /// Its word.
        source: std::io::Error,
    },
    /// The file is not one that a relay has written.
    #[error("relay.state: {}: has not the {RESET_SECRET_BYTES} bytes of a key; delete it, and the relay makes another", .0.display())]
    Damaged(PathBuf),
}

/// The secret of stateless resets (RFC 9000, section 10.3) in `folder`, made if there is none.
///
/// # Errors
/// [`StateError`].
pub fn reset_secret(folder: &Path) -> Result<ResetSecret, StateError> {
    let path = folder.join(RESET_SECRET);
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| StateError::Refused { path, source }
    };
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(refused(folder))?;
            make(&path).map_err(refused(&path))
        }
        Err(source) => Err(StateError::Refused { path, source }),
    }
}

fn read(mut file: File, path: &Path) -> Result<ResetSecret, StateError> {
    let mut secret = [0; RESET_SECRET_BYTES];
    let whole = file.read_exact(&mut secret).is_ok() && file.read(&mut [0]).is_ok_and(|more| more == 0);
    if whole {
        Ok(ResetSecret::from(secret))
    } else {
        Err(StateError::Damaged(path.to_owned()))
    }
}

fn make(path: &Path) -> std::io::Result<ResetSecret> {
    let mut secret = [0; RESET_SECRET_BYTES];
    rand::rng().fill_bytes(&mut secret);
    // Whole or not at all: a relay that is killed here must start again.
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    Ok(ResetSecret::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("postern-relay-state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_secret_is_made_once_and_is_for_nobody_else() {
        let folder = folder("once");
        let made = reset_secret(&folder.join("deeper")).unwrap();
        assert_eq!(reset_secret(&folder.join("deeper")).unwrap(), made);
        assert_ne!(reset_secret(&folder.join("other")).unwrap(), made);
        let file = folder.join("deeper").join(RESET_SECRET);
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_damaged_file_is_named_and_not_replaced() {
        let folder = folder("damaged");
        reset_secret(&folder).unwrap();
        let file = folder.join(RESET_SECRET);
        for content in [&b"short"[..], &[7; RESET_SECRET_BYTES + 1]] {
            std::fs::write(&file, content).unwrap();
            let error = reset_secret(&folder).unwrap_err().to_string();
            assert!(error.contains(RESET_SECRET) && error.contains("delete it"), "{error}");
            assert_eq!(std::fs::read(&file).unwrap(), content);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = folder("blocked");
        std::fs::write(&folder, "").unwrap();
        let error = reset_secret(&folder).unwrap_err().to_string();
        assert!(error.contains("relay.state") && error.contains("blocked"), "{error}");
        std::fs::remove_file(folder).unwrap();
    }
}
