//! `--dc-config FILE`: what the simulated directory does differently.
//!
//! The file has the form of mock-dc's own configuration. Its keys win over the generated ones, key by key within a
//! section; its `[[users]]` come in addition to the sample users. What ties the directory to the rest of the cluster
//! (names, ports, certificates) is the cluster's and refused.

use std::path::Path;

use anyhow::{Context, bail};
use toml::{Table, Value};

/// Keys that the cluster decides, and how to change what they stand for, where that is possible.
const OWNED: [(&str, &str); 8] = [
    ("dcs", "use --dcs and --ports"),
    ("tls", "the certificate comes from the cluster's PKI"),
    ("control", "use --ports"),
    ("admin", "use --ports"),
    (
        "generated",
        "use --users; their names and passwords are what scripts rely on",
    ),
    ("domain.name", "the agents' certificates name it"),
    ("domain.netbios", "the relays route by it"),
    ("domain.upn_suffixes", "the relays route by them"),
];

/// Reads `path` and lets its keys win over those of `generated`.
///
/// # Errors
/// When the file cannot be read, is not TOML, or has keys that the cluster decides: all of them are named.
pub fn merge_file(generated: &mut Table, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read --dc-config {}", path.display()))?;
    // Without the parser's quotation of the line, which may hold a password.
    let mut file: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        anyhow::anyhow!("--dc-config {}, line {line}: {}", path.display(), error.message())
    })?;
    let refused: Vec<String> = OWNED
        .iter()
        .filter(|(key, _)| has(&file, key))
        .map(|(key, instead)| format!("\n  {key}: is the cluster's; {instead}"))
        .collect();
    if !refused.is_empty() {
        bail!(
            "--dc-config {} has keys that it cannot have:{}",
            path.display(),
            refused.concat()
        );
    }
    // Relative to the file that names it, as mock-dc itself would read it.
    if let Some(Value::String(users_file)) = file.get_mut("users_file") {
        let folder = path.parent().unwrap_or(Path::new("."));
        let absolute = std::path::absolute(folder.join(&*users_file))?;
        *users_file = absolute
            .to_str()
            .context("the path of users_file is not UTF-8")?
            .to_owned();
    }
    merge(generated, file);
    Ok(())
}

fn has(table: &Table, dotted: &str) -> bool {
    match dotted.split_once('.') {
        None => table.contains_key(dotted),
        Some((section, key)) => table
            .get(section)
            .and_then(Value::as_table)
            .is_some_and(|inner| inner.contains_key(key)),
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(section)), Value::Table(wins)) => section.extend(wins),
            (Some(Value::Array(users)), Value::Array(more)) if key == "users" => users.extend(more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn merged(text: &str) -> anyhow::Result<Table> {
        let scratch = Scratch::new();
        let path = scratch.path().join("dc.toml");
        std::fs::write(&path, text).unwrap();
        let mut generated: Table =
            toml::from_str("users = [{ sam = \"a\" }]\n[policy]\nlockout_threshold = 10\nlockout_window_s = 600")
                .unwrap();
        merge_file(&mut generated, &path)?;
        Ok(generated)
    }

    #[test]
    fn keys_win_one_by_one_and_users_are_added() {
        let result =
            merged("users = [{ sam = \"b\" }]\n[policy]\nlockout_threshold = 3\n[domain]\ndialect = \"samba\"")
                .unwrap();
        assert_eq!(result["policy"]["lockout_threshold"].as_integer(), Some(3));
        assert_eq!(result["policy"]["lockout_window_s"].as_integer(), Some(600));
        assert_eq!(result["domain"]["dialect"].as_str(), Some("samba"));
        assert_eq!(result["users"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn every_key_that_is_the_clusters_is_named() {
        let error = merged("[tls]\ncertificate = \"x\"\n[domain]\nname = \"y\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("tls: ") && error.contains("domain.name: "), "{error}");
    }

    #[test]
    fn a_file_that_is_no_toml_says_where_and_does_not_quote_it() {
        let error = merged("[policy]\n[[users]]\npassword = \"secret\" x")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 3") && !error.contains("secret"), "{error}");
    }
}
