//! Servers as processes of their own: they end with this one, and what they cost is read from the kernel.

use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Ends what it runs, with everything that this started, when its standard input ends.
const LIFELINE: &str = r#"
exec 3<&0
trap : TERM
"$@" <&3 & server=$!
cat <&3 >/dev/null
kill -s TERM -- "-$$"
while kill -s 0 "$server" 2>/dev/null; do wait "$server"; done
"#;

/// A server's start takes at most this long: Samba's takes a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that serves, and those that it started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts a program of ours, which ends when its standard input does. Its output goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let output = fs::OpenOptions::new().append(true).create(true).open(log)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let lifeline = child.stdin.take();
        Ok(Self {
            child,
            lifeline,
            log: log.to_owned(),
        })
    }

    /// Starts somebody else's program.
    pub(crate) fn start_other(command: &[impl AsRef<OsStr>], log: &Path) -> anyhow::Result<Self> {
        Self::start(Command::new("sh").args(["-c", LIFELINE, "sh"]).args(command), log)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until all of these can be connected to.
    pub(crate) fn wait_until_it_listens(&mut self, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !addresses.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", fs::read_to_string(&self.log)?);
            }
            ensure!(begun.elapsed() < PATIENCE, "it does not listen: {}", self.log.display());
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Processor time that it and those that it started took so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let group = self.id();
        let mut ticks = 0;
        for entry in fs::read_dir("/proc")? {
            // Most of what is here are no processes, and some end while they are looked at.
            if let Ok(stat) = fs::read_to_string(entry?.path().join("stat"))
                && let Some((of, used)) = group_and_ticks(&stat)
                && of == group
            {
                ticks += used;
            }
        }
        Ok(Duration::from_secs_f64(
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        ))
    }

    /// Resident memory of this one process, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kib = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()
        });
        Ok(kib.context("the kernel tells no VmRSS")? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.lifeline = None;
        let _ = self.child.wait();
    }
}

/// Process group, and user and system time, of a line of `/proc/PID/stat` (proc(5)).
fn group_and_ticks(stat: &str) -> Option<(u32, u64)> {
    // The command's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((fields.get(2)?.parse().ok()?, ticks(11)? + ticks(12)?))
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        told(&output.stdout),
        told(&output.stderr)
    );
    Ok(())
}

/// Loopback addresses that nobody listens on.
pub(crate) fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let open = || TcpListener::bind(("127.0.0.1", 0));
    // All are held until all are known, or one might be given twice.
    let held = (0..N).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

/// As many open files as the system permits, for this process and those that it starts.
pub(crate) fn allow_many_files() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}

/// A folder that is removed in the end.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("postern-binds-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
