//! `postern up --directory`: finding out what is needed to put the cluster in front of a directory that is there.
//!
//! Everything that can be wrong with it is looked for before anything is started, so that the person at the terminal
//! is told of it and not an agent's log, and so that a wrong password of the service account is tried once, and not
//! by every agent until the account is locked. Nothing is written to the directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use postern_agent::survey::{Facts, Survey};
use postern_protocol::identity::Segment;
use postern_protocol::{Password, UserName};
use postern_service::{prompt, tls};
use toml::{Table, Value};

use crate::cluster::Domain;
use crate::cluster::existing::{Account, AlternateId, Existing, LookUp, PasswordFile, Server, ServerUrl};
use crate::cluster::folder::Folder;
use crate::report::progress;
use reading::{alternate_id, netbios_of, realm_of};
use words::with_options;

mod reading;
mod words;

/// The environment's word for the service account's password.
pub const PASSWORD_VARIABLE: &str = "POSTERN_SERVICE_PASSWORD";

/// What people's names are in directories other than Active Directory (RFC 4519, section 2.39).
const NAME_ATTRIBUTE: &str = "uid";

/// Values that are read to see what an alternate id looks like: as many as Active Directory gives at once.
const VALUES: usize = 1_000;

/// For reading them: an attribute without an index makes a directory look at every entry.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// Its domain controllers; at least one.
    pub servers: Vec<ServerUrl>,
    /// The authorities of their certificates; the system's when `None`.
    pub ca: Option<PathBuf>,
    /// The realm's name; what the directory says when `None`.
    pub realm: Option<Segment>,
    /// The domain's NetBIOS name; derived from the realm's when `None`.
    pub netbios: Option<String>,
    /// UPN suffixes beside the realm's name.
    pub upn_suffixes: Vec<String>,
    /// An attribute that people are looked up by.
    pub alternate_id: Option<String>,
    /// Suffixes of the names that are looked up; those of the attribute's values when there are none.
    pub alternate_suffixes: Vec<String>,
    /// Who looks people up.
    pub service_account: Option<String>,
}

/// Asks the directory, tells what was found, and says what to write into configurations.
///
/// # Errors
/// What is wrong and what to do.
pub async fn find(request: &Request, folder: &Folder) -> anyhow::Result<(Existing, Domain)> {
    let anchors = request.ca.as_deref().map(std::path::absolute).transpose()?;
    if let Some(anchors) = &anchors {
        tls::load_anchors(anchors).context("--directory-ca cannot be used")?;
    }
    let servers = name_servers(&request.servers)?;
    let found = ask_all(&servers, anchors.as_deref()).await?;
    let context = one_domain(&found)?;
    let realm = match &request.realm {
        Some(realm) => realm.to_string(),
        None => realm_of(context.as_deref())?,
    };
    let netbios = request.netbios.clone().unwrap_or_else(|| netbios_of(&realm));
    progress(format_args!(
        "  Realm {realm}, NetBIOS name {netbios}{}",
        match request.netbios {
            Some(_) => "",
            None => " (a guess from it; if it is another one: --netbios)",
        }
    ));
    if let Some(held) = realm_of(context.as_deref()).ok().filter(|held| *held != realm) {
        progress(format_args!(
            "  That is not the domain that the directory holds ({held}): people can sign in as NAME@{realm} only where \
             that is their user principal name"
        ));
    }
    let mut domain = Domain {
        display_name: realm.clone(),
        upn_suffixes: each_once(std::iter::once(&realm).chain(&request.upn_suffixes)),
        alternate_suffixes: Vec::new(),
        netbios,
        realm,
    };
    let account = match &request.service_account {
        Some(name) => Some((name.as_str(), service_password(name).await?)),
        None => None,
    };
    let account = account.as_ref().map(|(name, password)| (*name, password));
    // Any of those that answer would do.
    let Some((survey, facts)) = found.first() else {
        bail!("no domain controller")
    };
    if let Some((name, password)) = account {
        let bound = survey.bind(name, password).await;
        let bound = bound.map_err(|error| anyhow!(with_options(&format!("{error:#}"))));
        bound.with_context(|| {
            format!(
                "the service account {name} cannot be used; nothing was started. A wrong password was counted once: \
                 look at {PASSWORD_VARIABLE}, or at what you typed, before you try again"
            )
        })?;
    }
    let alternate = match &request.alternate_id {
        Some(attribute) => Some(look_at(request, survey, account, context, attribute, &mut domain).await?),
        None => None,
    };
    // Other directories than Active Directory bind by distinguished name alone: there everybody is looked up.
    let attribute = (!facts.is_active_directory()).then(|| NAME_ATTRIBUTE.to_owned());
    let account = match account {
        Some((name, password)) => Some(Account {
            name: name.to_owned(),
            password: PasswordFile::write(folder.path().join("service-password"), password)?,
        }),
        None => None,
    };
    let needed = account.is_some() || alternate.is_some() || attribute.is_some();
    let look_up = needed.then_some(LookUp { account, attribute });
    let existing = Existing {
        servers,
        anchors,
        look_up,
        alternate_id: alternate,
    };
    Ok((existing, domain))
}

/// Sees what the values of an attribute look like, and routes their suffixes to it.
async fn look_at(
    request: &Request,
    survey: &Survey,
    account: Option<(&str, &Password)>,
    context: Option<String>,
    attribute: &str,
    domain: &mut Domain,
) -> anyhow::Result<AlternateId> {
    let context =
        context.context("the directory does not say below which DN its entries are, so nobody can be looked up")?;
    let values = survey.values(account, &context, attribute, VALUES, PATIENCE).await;
    let values = values.map_err(|error| anyhow!(with_options(&format!("{error:#}"))));
    let values = values.with_context(|| match account {
        Some(_) => format!("cannot look up {attribute} below {context}"),
        None => {
            format!("cannot look up {attribute} below {context} without an account; name one with --service-account")
        }
    })?;
    let (alternate, suffixes) = alternate_id(attribute, &values, &request.alternate_suffixes, domain)?;
    let suffixes = each_once(suffixes.iter());
    progress(format_args!(
        "  Names that end in @{} are looked up by {attribute}",
        suffixes.join(", @")
    ));
    // In lower case, all of them.
    domain.upn_suffixes.retain(|suffix| !suffixes.contains(suffix));
    domain.alternate_suffixes = suffixes;
    Ok(alternate)
}

/// In lower case, as names are routed, and the first of those that are the same: what is claimed twice is refused.
fn each_once<'a>(suffixes: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut once = Vec::new();
    for suffix in suffixes.map(|suffix| suffix.to_lowercase()) {
        if !once.contains(&suffix) {
            once.push(suffix);
        }
    }
    once
}

/// What each that can be used says of itself.
async fn ask_all(servers: &[Server], anchors: Option<&Path>) -> anyhow::Result<Vec<(Survey, Facts)>> {
    progress("Asking the directory");
    let surveys = Survey::of(&section(servers, anchors)?, Path::new("/"));
    let surveys = surveys.map_err(|error| anyhow!("{}", with_options(&error.to_string())))?;
    let (mut found, mut troubles) = (Vec::new(), Vec::new());
    for (server, survey) in servers.iter().zip(surveys) {
        let url = &server.url;
        match survey.facts().await {
            Ok(facts) => {
                progress(format_args!("  {url} is {}", describe(&facts)));
                found.push((survey, facts));
            }
            Err(error) => troubles.push(format!("  {url}: {}", with_options(&error.to_string()))),
        }
    }
    if found.is_empty() {
        bail!(
            "the directory cannot be used; nothing was started\n{}",
            troubles.join("\n")
        );
    }
    for trouble in troubles {
        progress(format_args!("{trouble}\n    (the agents keep trying)"));
    }
    Ok(found)
}

/// The `[directory]` section of an agent.
fn section(servers: &[Server], anchors: Option<&Path>) -> anyhow::Result<String> {
    let mut directory = Table::new();
    if let Some(anchors) = anchors {
        let text = anchors.to_str().context("the path of --directory-ca is not UTF-8")?;
        directory.insert("anchors".to_owned(), text.into());
    }
    let servers = servers.iter().map(|server| {
        let pairs = [("name", server.name.clone()), ("url", server.url.to_string())];
        Value::Table(
            pairs
                .map(|(key, text)| (key.to_owned(), text.into()))
                .into_iter()
                .collect(),
        )
    });
    directory.insert("servers".to_owned(), servers.collect::<Vec<_>>().into());
    let whole = Table::from_iter([("directory".to_owned(), Value::Table(directory))]);
    Ok(toml::to_string(&whole)?)
}

fn describe(facts: &Facts) -> String {
    let kind = match (facts.is_active_directory(), facts.vendor()) {
        (true, None) => "Active Directory",
        (true, Some(vendor)) => &format!("Active Directory of {vendor}"),
        (false, _) => &format!("a directory of the kind {}", facts.kind()),
    };
    match facts.base() {
        Some(base) => format!("{kind}, holding {base}"),
        None => kind.to_owned(),
    }
}

/// The DN below which all have their entries.
fn one_domain(found: &[(Survey, Facts)]) -> anyhow::Result<Option<String>> {
    let contexts: BTreeSet<_> = found.iter().filter_map(|(_, facts)| facts.base()).collect();
    if contexts.len() > 1 {
        let contexts = contexts.into_iter().collect::<Vec<_>>().join(" and ");
        bail!("these are domain controllers of different domains: {contexts}; a cluster serves one");
    }
    Ok(contexts.first().map(|context| (*context).to_owned()))
}

fn name_servers(urls: &[ServerUrl]) -> anyhow::Result<Vec<Server>> {
    let alone = |url: &ServerUrl| urls.iter().filter(|other| other.host == url.host).count() == 1;
    let servers: Vec<Server> = urls
        .iter()
        .map(|url| Server {
            name: match alone(url) {
                true => url.host.clone(),
                false => format!("{}:{}", url.host, url.port),
            },
            url: url.clone(),
        })
        .collect();
    let names: BTreeSet<_> = servers.iter().map(|server| &server.name).collect();
    if names.len() < servers.len() {
        bail!("--directory names the same domain controller twice");
    }
    Ok(servers)
}

/// From the environment, or from whoever is at the terminal.
async fn service_password(account: &str) -> anyhow::Result<Password> {
    let typed = match std::env::var_os(PASSWORD_VARIABLE) {
        Some(given) => zeroize::Zeroizing::new(given.into_encoded_bytes()),
        None => prompt::ask_password(format!("Password of {account}: "))
            .await
            .with_context(|| format!("cannot ask for the password of {account}; set {PASSWORD_VARIABLE}"))?,
    };
    Password::from_bytes(typed).with_context(|| format!("the password of {account} cannot be one"))
}

/// A suffix as it may be typed here: with or without the `@`.
///
/// # Errors
/// When no user name can end in it.
pub fn suffix(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('@').unwrap_or(text);
    match UserName::parse(&format!("x@{text}")) {
        Ok(_) if text.contains(char::is_whitespace) => Err("a suffix has no white space".to_owned()),
        Ok(_) => Ok(text.to_lowercase()),
        Err(error) => Err(error.to_string()),
    }
}

/// A name that a directory may bind.
///
/// # Errors
/// When it is none of the forms.
pub fn account(text: &str) -> Result<String, &'static str> {
    match text.contains(['@', '\\', '=']) && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("none of name@domain, DOMAIN\\name and a distinguished name, which a directory could bind"),
    }
}

/// A NetBIOS name, as far as sign-ins are routed by it.
///
/// # Errors
/// When no user name can begin with it.
pub fn netbios(text: &str) -> Result<String, String> {
    match UserName::parse(&format!("{text}\\x")) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(urls: &[&str]) -> anyhow::Result<Vec<String>> {
        let urls: Vec<ServerUrl> = urls.iter().map(|url| url.parse().unwrap()).collect();
        Ok(name_servers(&urls)?.into_iter().map(|server| server.name).collect())
    }

    #[test]
    fn a_domain_controller_goes_by_its_host_and_by_its_port_where_that_is_needed() {
        assert_eq!(
            names(&["ldaps://a.example", "ldap://b.example"]).unwrap(),
            ["a.example", "b.example"]
        );
        assert_eq!(
            names(&["ldaps://a.example", "ldaps://a.example:1636"]).unwrap(),
            ["a.example:636", "a.example:1636"]
        );
        let twice = names(&["ldaps://a.example", "ldaps://a.example:636/"]).unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
    }

    #[test]
    fn a_suffix_that_is_given_twice_is_there_once_whatever_its_case() {
        let given = ["Corp.Example.com", "mail.example.org", "corp.example.COM"].map(str::to_owned);
        assert_eq!(each_once(given.iter()), ["corp.example.com", "mail.example.org"]);
    }

    #[test]
    fn what_is_no_suffix_account_or_netbios_name_is_refused_before_anything_is_asked() {
        assert_eq!(suffix("@Mail.Example.org").unwrap(), "mail.example.org");
        assert!(suffix("").is_err() && suffix("a@b").is_err() && suffix("a b*").is_err());
        assert!(suffix("mail example.org").is_err());
        assert!(account("svc@corp.example.com").is_ok() && account("cn=svc,dc=example").is_ok());
        assert!(account("svc").is_err());
        assert!(netbios("CORP").is_ok() && netbios("CO\\RP").is_err() && netbios("").is_err());
    }
}
