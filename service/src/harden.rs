//! Keeping a process's memory to itself: passwords pass through it.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

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
