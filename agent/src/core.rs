//! The agent's decisions, apart from everything that happens.
//!
//! No tokio, no quinn, no clock and no entropy in here: moments and random numbers are arguments, so every rule can
//! be tested without a socket and without waiting. A test below reads the sources and fails when one creeps in.

pub(crate) mod backoff;
pub(crate) mod cancelled;
pub(crate) mod kind;
pub(crate) mod lease;
pub(crate) mod locator;
pub(crate) mod names;
pub(crate) mod pace;
pub(crate) mod replay;
pub(crate) mod service_account;
pub(crate) mod slots;
pub(crate) mod start_window;
pub(crate) mod suspicion;
pub(crate) mod tiers;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Written in two parts, so that this list does not find itself.
    const BANNED: [(&str, &str); 7] = [
        ("tok", "io"),
        ("quin", "n"),
        ("ldap", "3"),
        ("Instant", "::now"),
        ("System", "Time"),
        ("rand", "::"),
        ("crate::", "clock"),
    ];

    #[test]
    fn the_core_asks_no_clock_no_socket_and_no_entropy() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core");
        let mut files = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let source = std::fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            for (first, second) in BANNED {
                let word = format!("{first}{second}");
                assert!(
                    !code.iter().any(|line| line.contains(&word)),
                    "{} uses {word}",
                    path.display()
                );
            }
            files += 1;
        }
        let modules = include_str!("core.rs")
            .lines()
            .filter(|line| line.starts_with("pub(crate) mod "));
        assert_eq!(files, modules.count(), "a file of the core was not read");
    }
}
