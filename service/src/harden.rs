//! Keeping secrets to this process: its memory, through which passwords pass, and the files that hold keys.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Whether users other than a file's owner and its group may read it.
pub fn is_readable_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Refuses core dumps and reading of this process's memory by others of the same user (ptrace, `/proc/PID/mem`).
///
/// # Errors
/// What the kernel said; the process should then not go on.
pub fn refuse_memory_dumps() -> std::io::Result<()> {
    // Order matters little, but both are needed: the limit alone is bypassed by a core pattern that pipes to a helper.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let hard_limit_zero = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, hard_limit_zero)?;
    Ok(())
}
