//! How much memory a relay has, if it is a process of this machine.

use std::path::Path;

use postern_loadtest::cluster::Part;

/// The relay's resident memory (VmRSS) in bytes. `None` where the process is not there, or is not that of the cluster in
/// `folder`: its number may have become somebody else's.
pub(super) fn resident(relay: &Part, folder: &Path) -> Option<u64> {
    let process = Path::new("/proc").join(relay.pid.to_string());
    let command = std::fs::read(process.join("cmdline")).ok()?;
    let folder = folder.to_str()?;
    if !String::from_utf8_lossy(&command).contains(folder) {
        return None;
    }
    parse(&std::fs::read_to_string(process.join("status")).ok()?)
}

/// Reads proc_pid_status(5).
fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes_and_a_zombie_has_none() {
        assert_eq!(
            parse("Name:\tpostern\nVmHWM:\t 2000 kB\nVmRSS:\t 1500 kB\n"),
            Some(1_536_000)
        );
        assert_eq!(parse("Name:\tpostern\n"), None);
    }

    #[test]
    fn a_process_of_somebody_else_tells_nothing() {
        let relay = Part {
            name: "relay-1".to_owned(),
            pid: std::process::id(),
            log: "x".into(),
            admin: String::new(),
            api: String::new(),
            quic: String::new(),
        };
        assert_eq!(resident(&relay, Path::new("/tmp/no/such/cluster")), None);
    }
}
