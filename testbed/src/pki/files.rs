//! Writing keys and certificates: nobody else reads them, and nothing is overwritten by accident.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

/// Makes a folder, and those above it, that only their owner can enter.
pub(super) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// Writes a file that must not exist, readable by its owner only.
pub(super) fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    create(path)
        .and_then(|mut file| file.write_all(content))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file or replaces it as a whole: a reader sees the old content or the new.
pub(super) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = Path::new(&name);
    let write = || {
        // Left behind by a run that was ended in the middle.
        if temporary.exists() {
            std::fs::remove_file(temporary)?;
        }
        create(temporary)?.write_all(content)?;
        std::fs::rename(temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
