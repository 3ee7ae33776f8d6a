//! OpenLDAP's slapd on mdb. Passwords are kept in clear text, which is the fastest that it has.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{ACCOUNTS, Pki, Server, binds, generated};
use crate::process::{Folder, Process, free_addresses, run};

const SLAPD: &str = "/usr/sbin/slapd";

const BASE: &str = "dc=corp,dc=example,dc=com";

/// Started, and listening; `None` when it is not installed.
pub(super) fn start(folder: &Folder, pki: &Pki) -> anyhow::Result<Option<Server>> {
    if !Path::new(SLAPD).exists() {
        return Ok(None);
    }
    let database = folder.join("slapd");
    fs::create_dir(&database)?;
    let config = format!(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nloglevel 0\n\
         TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
         database mdb\nsuffix \"{BASE}\"\ndirectory {}\naccess to attrs=userPassword by anonymous auth by * none\n",
        pki.ca.display(),
        pki.certificate.display(),
        pki.key.display(),
        database.display(),
    );
    let (file, people) = (folder.join("slapd.conf"), folder.join("people.ldif"));
    fs::write(&file, config)?;
    let mut ldif = format!("dn: {BASE}\nobjectClass: organization\nobjectClass: dcObject\no: Corp\ndc: corp\n\n");
    for number in 1..=ACCOUNTS {
        let (name, password) = account(number);
        write!(
            ldif,
            "dn: {name}\nobjectClass: person\ncn: user{number:06}\nsn: User\nuserPassword: {password}\n\n"
        )?;
    }
    fs::write(&people, ldif)?;
    run(Command::new("/usr/sbin/slapadd")
        .arg("-q")
        .arg("-f")
        .arg(&file)
        .arg("-l")
        .arg(people))?;
    let [ldap, ldaps] = free_addresses()?;
    let urls = format!("ldap://{ldap} ldaps://{ldaps}");
    let file = file.display().to_string();
    let mut process = Process::start_other(&[SLAPD, "-d", "0", "-f", &file, "-h", &urls], &folder.join("slapd.log"))?;
    process.wait_until_it_listens(&[ldap, ldaps])?;
    Ok(Some(Server {
        process,
        ldap,
        ldaps,
        binds: binds(ACCOUNTS, account),
    }))
}

/// It knows people by their distinguished names only.
fn account(number: usize) -> (String, String) {
    let (_, password) = generated(number);
    (format!("cn=user{number:06},{BASE}"), password)
}
