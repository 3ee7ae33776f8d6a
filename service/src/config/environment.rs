//! Overrides from the environment: `POSTERN_SECTION__KEY`.

use super::Problems;

/// `POSTERN_API__LISTEN=…` sets `api.listen`. A value that reads as a TOML boolean, number, array or quoted string is
/// that; anything else is a string.
pub(super) fn override_from(
    table: &mut toml::Table,
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut Problems,
) {
    for (name, text) in environment {
        let Some(path) = name.strip_prefix("POSTERN_").filter(|rest| rest.contains("__")) else {
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        let Some((key, sections)) = path.split_last() else {
            continue;
        };
        let fits = path.iter().all(|part| !part.is_empty());
        match section_of(table, sections) {
            Some(section) if fits => {
                section.insert(key.clone(), environment_value(&text));
                problems.is_from(name, path.join("."));
            }
            _ => problems.add(name, "does not name a key of a section (POSTERN_SECTION__KEY)"),
        }
    }
}

/// The table at `path` below `table`, made where it is missing; `None` where something else is in the way.
fn section_of<'a>(table: &'a mut toml::Table, path: &[String]) -> Option<&'a mut toml::Table> {
    let Some((first, rest)) = path.split_first() else {
        return Some(table);
    };
    match table
        .entry(first.clone())
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
    {
        toml::Value::Table(inner) => section_of(inner, rest),
        _ => None,
    }
}

pub(super) fn environment_value(text: &str) -> toml::Value {
    match toml::from_str::<toml::Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => match table.remove("value") {
            // A name may look like a date or like braces around something.
            None | Some(toml::Value::Datetime(_) | toml::Value::Table(_)) => toml::Value::String(text.to_owned()),
            Some(value) => value,
        },
        _ => toml::Value::String(text.to_owned()),
    }
}
