//! Samba AD, provisioned for the run. Its ports cannot be chosen, so it has a loopback address of its own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;

use super::{Pki, Server, binds, generated};
use crate::process::{Folder, Process, run};

/// Anything in 127.0.0.0/8 is this machine; nobody serves LDAP there.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 99, 38, 9);

/// It takes some time over each, also when they are made.
const ACCOUNTS: usize = 40;

/// Makes the accounts in the database itself, which is quicker than over LDAP.
const PEOPLE: &str = r#"
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
config = LoadParm()
config.load(sys.argv[1])
database = SamDB(lp=config, session_info=system_session())
for number in range(1, int(sys.argv[2]) + 1):
    database.newuser("user%06d" % number, "Postern-%06d" % number)
"#;

/// Started, and listening; `None` when it is not installed, or may not use its ports.
pub(super) fn start(folder: &Folder, pki: &Pki) -> anyhow::Result<Option<Server>> {
    let installed = Path::new("/usr/sbin/samba").exists() && Path::new("/usr/share/samba/setup").exists();
    if !installed
        || [389, 636]
            .iter()
            .any(|port| TcpListener::bind((ADDRESS, *port)).is_err())
    {
        return Ok(None);
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let option = |name: &str, value: String| format!("--option={name}={value}");
    // Or it would take the system's configuration.
    fs::write(at("empty.conf"), "[global]\n")?;
    run(Command::new("samba-tool")
        .args([
            "domain",
            "provision",
            "--server-role=dc",
            "--dns-backend=NONE",
            "--backend-store=tdb",
        ])
        .arg(format!("--configfile={}", at("empty.conf")))
        .arg(format!("--targetdir={}", at("samba")))
        .args(["--realm=CORP.EXAMPLE.COM", "--domain=CORP", "--host-name=dc1"])
        .arg(format!("--host-ip={ADDRESS}"))
        .arg("--adminpass=Adm1n-Passw0rd!")
        // Whatever file system the temporary folder is on.
        .arg(option("vfs objects", "dfs_samba4 acl_xattr xattr_tdb".to_owned()))
        .arg(option("xattr_tdb:file", at("samba/xattr.tdb")))
        .arg(option("posix:eadb", at("samba/eadb.tdb"))))?;
    let config = at("samba/etc/smb.conf");
    // Debian's Python, which has Samba's modules.
    run(Command::new("/usr/bin/python3").args(["-c", PEOPLE, &config, &ACCOUNTS.to_string()]))?;
    for (name, mode) in [("run/ncalrpc", 0o755), ("run/winbindd", 0o750), ("run/ntp", 0o750)] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(folder.join(name))?;
    }
    let mut command = vec!["samba".to_owned(), "-i".to_owned(), "--no-process-group".to_owned()];
    command.extend(["-s".to_owned(), config]);
    command.extend([
        option("server services", "ldap".to_owned()),
        option("interfaces", format!("{ADDRESS}/8")),
        option("bind interfaces only", "yes".to_owned()),
        option("ldap server require strong auth", "no".to_owned()),
        option("tls certfile", pki.certificate.display().to_string()),
        option("tls keyfile", pki.key.display().to_string()),
        option("tls cafile", pki.ca.display().to_string()),
        option("pid directory", at("run")),
        option("ncalrpc dir", at("run/ncalrpc")),
        option("winbindd socket directory", at("run/winbindd")),
        option("ntp signd socket directory", at("run/ntp")),
        option("log file", at("samba.log")),
    ]);
    let mut process = Process::start_other(&command, &folder.join("samba.output"))?;
    let [ldap, ldaps] = [389, 636].map(|port| SocketAddr::new(IpAddr::V4(ADDRESS), port));
    process.wait_until_it_listens(&[ldap, ldaps])?;
    Ok(Some(Server {
        process,
        ldap,
        ldaps,
        binds: binds(ACCOUNTS, generated),
    }))
}
