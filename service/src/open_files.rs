//! How many files, connections among them, this process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the system permits without asking anybody (from the soft limit to the hard one).
///
/// # Errors
/// What the kernel said; the limit is as it was.
pub fn raise_limit() -> std::io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// The limit; `None`: none.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_the_system_permits() {
        raise_limit().unwrap();
        assert_eq!(limit(), getrlimit(Resource::Nofile).maximum);
    }
}
