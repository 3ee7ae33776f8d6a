//! The objects of one directory, by what another would call them: each domain has GUIDs and identifiers of its own.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use super::super::client::{Client, Transport};
use super::super::domain::{BASE, Directory};
use super::answer::{Answer, read};
use super::request::{Control, Scope, Search, controls};

/// What one directory calls its objects.
#[derive(Debug, Default)]
pub(super) struct Landscape {
    /// GUIDs and identifiers, by the objects' distinguished names.
    of: HashMap<String, Identifiers>,
    /// The objects that GUIDs and identifiers, in bytes and in text, belong to.
    whose: HashMap<Vec<u8>, String>,
    /// The objects that the last parts of identifiers belong to.
    rids: HashMap<Vec<u8>, String>,
    /// Every object.
    pub(super) names: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
struct Identifiers {
    guid: Vec<u8>,
    sid: Vec<u8>,
}

impl Landscape {
    /// Looks at everything that an administrator sees.
    pub(super) async fn of(directory: &Directory) -> Self {
        let mut landscape = Self::default();
        let mut client = Client::connect(&directory.address, Transport::Ldap).await;
        let told = client.bind(b"CORP\\Administrator", b"Adm1n-Passw0rd!").await.unwrap();
        assert_eq!(told.code, 0, "the administrator: {}", told.text);
        let configuration = format!("CN=Configuration,{BASE}");
        for (base, scope) in [
            (BASE.to_owned(), Scope::Subtree),
            // What it has is the server's own.
            (format!("CN=Schema,{configuration}"), Scope::Base),
            (configuration, Scope::Subtree),
        ] {
            let mut cookie = Vec::new();
            loop {
                let search = Search::below(&base, "(objectClass=*)")
                    .within(scope)
                    .showing(&["objectGUID", "objectSid"])
                    .with(Control::page(127, &cookie));
                let operation = search.operation(&landscape);
                let answer = read(&client.ask(&operation, &controls(&search.controls)).await);
                landscape.take(&answer);
                cookie = answer.cookie().unwrap();
                if cookie.is_empty() {
                    break;
                }
            }
        }
        landscape
    }

    fn take(&mut self, answer: &Answer) {
        for (name, attributes) in &answer.entries {
            let value = |wanted: &str| {
                let found = attributes.iter().find(|(name, _)| name == wanted);
                found.map(|(_, values)| values[0].clone()).unwrap_or_default()
            };
            let own = Identifiers {
                guid: value("objectGUID"),
                sid: value("objectSid"),
            };
            let guid = guid_text(&own.guid);
            for key in [own.guid.clone(), guid.into_bytes(), hexadecimal(&own.guid).into_bytes()] {
                self.whose.entry(key).or_insert_with(|| format!("GUID of {name}"));
            }
            if !own.sid.is_empty() {
                let sid = sid_text(&own.sid);
                let rid = sid.rsplit('-').next().unwrap().as_bytes().to_vec();
                self.rids.insert(rid, format!("RID of {name}"));
                for key in [own.sid.clone(), sid.into_bytes(), hexadecimal(&own.sid).into_bytes()] {
                    self.whose.entry(key).or_insert_with(|| format!("SID of {name}"));
                }
            }
            self.names.insert(name.clone());
            self.of.insert(name.clone(), own);
        }
    }

    /// Puts what this directory calls an object in the place of `{guid NAME}` and `{sid NAME}`, in text, in
    /// hexadecimal digits (`{guid-digits NAME}`) or as escaped bytes (`{guid-bytes NAME}`).
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            // A GUID in braces.
            let Some((kind, (name, behind))) = behind
                .split_once(' ')
                .filter(|(kind, _)| kind.starts_with("guid") || kind.starts_with("sid"))
                .and_then(|(kind, more)| Some((kind, more.split_once('}')?)))
            else {
                filled += before;
                filled.push('{');
                rest = behind;
                continue;
            };
            let own = self.of.get(name).unwrap_or_else(|| panic!("nobody is called {name}"));
            filled += before;
            filled += &match kind {
                "guid" => guid_text(&own.guid),
                "guid-digits" => hexadecimal(&own.guid),
                "guid-bytes" => escaped(&own.guid),
                "sid" => sid_text(&own.sid),
                "sid-digits" => hexadecimal(&own.sid),
                "sid-bytes" => escaped(&own.sid),
                other => panic!("{other} is nothing of {name}"),
            };
            rest = behind;
        }
        filled + rest
    }

    /// A value as both directories would have it: whose GUID or identifier it is, not which.
    pub(super) fn shown(&self, value: &[u8]) -> String {
        if let Some(whose) = self.whose.get(value) {
            return whose.clone();
        }
        let Ok(text) = std::str::from_utf8(value) else {
            return format!("bytes {}", hexadecimal(value));
        };
        let mut shown = String::new();
        let mut rest = text;
        // The parts of an extended name.
        while let Some((kind, (identifier, behind))) = rest
            .strip_prefix('<')
            .and_then(|inside| inside.split_once('='))
            .and_then(|(kind, more)| Some((kind, more.split_once('>')?)))
        {
            let whose = self.whose.get(identifier.as_bytes()).map_or(identifier, String::as_str);
            let form = if identifier.contains('-') { "text" } else { "digits" };
            let _ = write!(shown, "<{kind} in {form}={whose}>;");
            rest = behind.strip_prefix(';').unwrap_or(behind);
        }
        shown + rest
    }

    /// The object that the last part of an identifier belongs to.
    pub(super) fn whose_rid(&self, rid: &[u8]) -> String {
        self.rids.get(rid).cloned().unwrap_or_else(|| self.shown(rid))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

fn guid_text(bytes: &[u8]) -> String {
    uuid::Uuid::from_bytes_le(bytes.try_into().unwrap()).to_string()
}

fn sid_text(bytes: &[u8]) -> String {
    let parts = bytes[8..].chunks_exact(4);
    let parts = parts.map(|part| u32::from_le_bytes(part.try_into().unwrap()).to_string());
    format!("S-1-{}-{}", bytes[7], parts.collect::<Vec<_>>().join("-"))
}
