//! A Samba domain controller for a test, on a loopback address of its own: Samba's ports cannot be chosen.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use postern_testbed::cluster::{NETBIOS, REALM};
use postern_testbed::pki::{Issued, Pki};
use serde_json::json;
use tokio::sync::OnceCell;

use super::people::{THRESHOLD, everybody_twice, for_samba};
use super::server::{Server, run};
use crate::harness::{Scratch, Setup, eventually};

const ADMINISTRATOR_PASSWORD: &str = "Adm1n-Passw0rd!";

/// Fills the domain; Samba's own Python modules are the only way to a password that was set long ago.
const PEOPLE_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/directories/samba_people.py");

/// A domain controller of `corp.example.com` with everybody in it.
pub(crate) struct Samba {
    address: Ipv4Addr,
    pki: Pki,
    certificate: Issued,
    server: Option<Server>,
    more_options: Vec<&'static str>,
    folder: Scratch,
}

/// One that tests share that change nothing which another looks at. It ends with the process.
pub(crate) async fn shared() -> &'static Samba {
    static SHARED: OnceCell<Samba> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            let mut samba = Samba::provision_with_people();
            samba.serve(true).await;
            samba
        })
        .await
}

impl Samba {
    /// A new domain with everybody in it. Nothing serves it yet.
    pub(crate) fn provision_with_people() -> Self {
        let samba = Self::provision();
        let people = json!({
            "config": samba.config(), "threshold": THRESHOLD, "people": for_samba(&everybody_twice()),
        });
        samba.fill(PEOPLE_SCRIPT, &people);
        samba
    }

    /// A new domain. Nothing serves it yet.
    pub(crate) fn provision() -> Self {
        let folder = Scratch::new();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let address = free_address();
        // Or it would take the system's configuration.
        std::fs::write(at("empty.conf"), "[global]\n").unwrap();
        run(Command::new("samba-tool")
            .args([
                "domain",
                "provision",
                "--server-role=dc",
                "--dns-backend=NONE",
                "--backend-store=tdb",
            ])
            .arg(format!("--configfile={}", at("empty.conf")))
            .arg(format!("--targetdir={}", at("domain")))
            .arg(format!("--realm={}", REALM.to_uppercase()))
            .arg(format!("--domain={NETBIOS}"))
            .args(["--host-name=DC1".to_owned(), format!("--host-ip={address}")])
            .arg(format!("--adminpass={ADMINISTRATOR_PASSWORD}"))
            // Whatever file system the temporary folder is on.
            .arg("--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb")
            .arg(format!("--option=xattr_tdb:file={}", at("domain/xattr.tdb")))
            .arg(format!("--option=posix:eadb={}", at("domain/eadb.tdb"))));
        let pki = Pki::init(Path::new(&at("pki")), "samba.test".parse().unwrap()).unwrap();
        let names = [format!("dc1.{REALM}"), address.to_string()];
        let samba = Self {
            address,
            certificate: pki.domain_controllers(&names).unwrap(),
            pki,
            server: None,
            more_options: Vec::new(),
            folder,
        };
        for (name, mode) in [("run/ncalrpc", 0o755), ("run/winbindd", 0o750), ("run/ntp", 0o750)] {
            use std::os::unix::fs::DirBuilderExt;
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(mode)
                .create(samba.folder.path().join(name))
                .unwrap();
        }
        samba
    }

    /// Runs a script that changes the domain before it is served.
    pub(crate) fn fill(&self, script: &str, input: &serde_json::Value) {
        let path = self.folder.path().join("input.json");
        std::fs::write(&path, input.to_string()).unwrap();
        // Debian's Python, which has Samba's modules.
        run(Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::from(std::fs::File::open(path).unwrap())));
    }

    /// Lets passwords be sent in the clear, which Samba refuses otherwise.
    pub(crate) fn permit_plain_binds(&mut self) {
        self.more_options.push("--option=ldap server require strong auth=no");
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its smb.conf.
    pub(crate) fn config(&self) -> String {
        self.folder
            .path()
            .join("domain/etc/smb.conf")
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Starts it and waits until it can be connected to.
    pub(crate) async fn start(&mut self) {
        self.serve(false).await;
    }

    /// Ends it, as a domain controller that is shut down.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    async fn serve(&mut self, removes_folder: bool) {
        let folder = self.folder.path();
        let option = |name: &str, value: String| format!("--option={name}={value}");
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let options = [
            option("server services", "ldap".to_owned()),
            option("interfaces", format!("{}/8", self.address)),
            option("bind interfaces only", "yes".to_owned()),
            option("tls certfile", self.certificate.certificate.display().to_string()),
            option("tls keyfile", self.certificate.key.display().to_string()),
            option("tls cafile", self.pki.ca().display().to_string()),
            option("pid directory", at("run")),
            option("ncalrpc dir", at("run/ncalrpc")),
            option("winbindd socket directory", at("run/winbindd")),
            option("ntp signd socket directory", at("run/ntp")),
            option("log file", at("samba.log")),
        ];
        let config = self.config();
        let mut command = vec!["samba", "-i", "--no-process-group", "-s", &config];
        command.extend(options.iter().map(String::as_str));
        command.extend(&self.more_options);
        let removes = removes_folder.then_some(folder);
        self.server = Some(Server::start(&command, &folder.join("output"), removes));
        let address = self.address;
        eventually("Samba listens", || {
            [389, 636]
                .iter()
                .all(|&port| TcpStream::connect((address, port)).is_ok())
        })
        .await;
    }

    /// `ldaps://…` or `ldap://…`, without a port.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The authority of its certificate.
    pub(crate) fn ca(&self) -> String {
        self.pki.ca().to_str().unwrap().to_owned()
    }

    /// `postern up` in front of it.
    pub(crate) fn setup(&self, scheme: &str, more: &[&str]) -> Setup {
        let (url, ca) = (self.url(scheme), self.ca());
        let arguments = ["--directory", &url, "--directory-ca", &ca, "--ports", "auto"];
        Setup::new(&[&arguments[..], more].concat())
    }

    /// How many wrong passwords of an account are counted, as an administrator sees it.
    pub(crate) fn wrong_passwords(&self, sam: &str) -> u32 {
        let found = run(Command::new("ldapsearch")
            .env("LDAPTLS_CACERT", self.ca())
            .args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &self.url("ldaps")])
            .args(["-D", &format!("Administrator@{REALM}"), "-w", ADMINISTRATOR_PASSWORD])
            .args(["-b", "CN=Users,DC=corp,DC=example,DC=com"])
            .args([&format!("(sAMAccountName={sam})"), "badPwdCount"]));
        // An account that is not found has no wrong passwords either.
        assert!(found.starts_with("dn:"), "{sam}: {found:?}");
        let count = found.lines().find_map(|line| line.strip_prefix("badPwdCount: "));
        count.unwrap_or_else(|| panic!("{sam}: {found:?}")).parse().unwrap()
    }
}

/// All of 127.0.0.0/8 is this machine; somewhere in it nobody serves LDAP.
fn free_address() -> Ipv4Addr {
    let random = || rand::random_range(1..=254);
    std::iter::repeat_with(|| Ipv4Addr::new(127, random(), random(), random()))
        .find(|&address| {
            [389, 636]
                .iter()
                .all(|&port| TcpListener::bind((address, port)).is_ok())
        })
        .unwrap()
}
