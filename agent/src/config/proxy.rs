//! `relays.proxy`: the HTTP proxy through which links over TCP go, where a network lets nothing else out.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postern_service::config::Problems;
use zeroize::Zeroizing;

use super::RelayAddress;

/// Where proxies listen by custom.
const PORT: u16 = 3128;

/// Longer passwords are none.
const MAX_PASSWORD_BYTES: usize = 1_024;

/// An HTTP proxy that carries TCP (CONNECT: RFC 9110, section 9.3.6).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: RelayAddress,
    /// What it is shown: `Basic …` (RFC 7617).
    pub(crate) authorization: Option<Zeroizing<String>>,
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

/// Reads what the three keys come to.
pub(super) fn validate(
    url: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    base: &Path,
    problems: &mut Problems,
) -> Option<Proxy> {
    let Some(url) = url else {
        for (key, there) in [
            ("relays.proxy_user", user.is_some()),
            ("relays.proxy_password_file", password_file.is_some()),
        ] {
            if there {
                problems.add(key, "is for a proxy, and relays.proxy names none");
            }
        }
        return None;
    };
    let address = address(&url).map_err(|why| problems.add("relays.proxy", why));
    let authorization = match (user, password_file) {
        (None, None) => None,
        (Some(user), Some(file)) => Some(basic(&user, &base.join(file), problems)?),
        (Some(_), None) => {
            problems.add("relays.proxy_password_file", "is missing: proxy_user is there");
            None
        }
        (None, Some(_)) => {
            problems.add("relays.proxy_user", "is missing: proxy_password_file is there");
            None
        }
    };
    Some(Proxy {
        address: address.ok()?,
        authorization,
    })
}

/// Host and port of `http://HOST[:PORT]`. What is wrong is told without the text: it may hold a password.
fn address(url: &str) -> Result<RelayAddress, &'static str> {
    const FORM: &str = "must be http://HOST[:PORT], as of http://proxy.example.com:3128";
    let rest = url.strip_prefix("http://").ok_or(FORM)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("has a user in it; give it as relays.proxy_user, and the password in relays.proxy_password_file");
    }
    rest.parse()
        .or_else(|_| format!("{rest}:{PORT}").parse())
        .map_err(|_| FORM)
}

fn basic(user: &str, file: &Path, problems: &mut Problems) -> Option<Zeroizing<String>> {
    const KEY: &str = "relays.proxy_password_file";
    if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
        problems.add(
            "relays.proxy_user",
            "must not be empty and can have no colon (RFC 7617)",
        );
        return None;
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => {
            problems.add(KEY, format!("{}: {error}", file.display()));
            return None;
        }
    };
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES || password.contains(char::is_control) {
        problems.add(KEY, format!("{}: holds no password in one line", file.display()));
        return None;
    }
    let pair = Zeroizing::new(format!("{user}:{password}"));
    Some(Zeroizing::new(format!(
        "Basic {}",
        *Zeroizing::new(STANDARD.encode(pair.as_bytes()))
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: Option<&str>, user: Option<&str>, file: Option<&str>) -> (Option<Proxy>, String) {
        let mut problems = Problems::default();
        let base = std::env::temp_dir();
        let proxy = validate(
            url.map(str::to_owned),
            user.map(str::to_owned),
            file.map(PathBuf::from),
            &base,
            &mut problems,
        );
        let told = problems.iter().map(|(key, why)| format!("{key} {why}\n")).collect();
        (proxy, told)
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for (url, address) in [
            ("http://proxy.example.com:8080", "proxy.example.com:8080"),
            ("http://proxy.example.com", "proxy.example.com:3128"),
            ("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080"),
            ("http://192.0.2.1", "192.0.2.1:3128"),
        ] {
            let (proxy, told) = read(Some(url), None, None);
            assert_eq!(proxy.unwrap().address.to_string(), address, "{told}");
        }
        for wrong in [
            "proxy:3128",
            "https://proxy",
            "http://",
            "http://proxy:0/x",
            "socks5://proxy",
        ] {
            let (proxy, told) = read(Some(wrong), None, None);
            assert!(proxy.is_none() && told.contains("http://HOST"), "{wrong}: {told}");
        }
    }

    #[test]
    fn a_password_is_in_a_file_and_nowhere_else() {
        let name = format!("postern-proxy-password-{}", std::process::id());
        let file = std::env::temp_dir().join(&name);
        std::fs::write(&file, "Secret-1\n").unwrap();
        let (proxy, _) = read(Some("http://proxy"), Some("ada"), Some(&name));
        let proxy = proxy.unwrap();
        assert_eq!(
            proxy.authorization.as_deref().map(String::as_str),
            Some("Basic YWRhOlNlY3JldC0x")
        );
        assert!(!format!("{proxy:?}").contains("YWRh"));
        std::fs::write(&file, "\n").unwrap();
        assert!(
            read(Some("http://proxy"), Some("ada"), Some(&name))
                .1
                .contains("holds no password")
        );
        std::fs::remove_file(file).unwrap();
        for (user, file) in [
            (Some("ada"), None),
            (None, Some("x")),
            (Some("ada"), Some(name.as_str())),
        ] {
            assert!(!read(Some("http://proxy"), user, file).1.is_empty());
        }
        let told = read(Some("http://ada:hunter2@proxy"), None, None).1;
        assert!(told.contains("proxy_user") && !told.contains("hunter2"), "{told}");
        assert!(read(None, Some("ada"), None).1.contains("names none"));
    }
}
