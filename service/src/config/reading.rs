//! Reading on past what cannot be read, so that all of it is told at once.

use serde::de::DeserializeOwned;

use super::Problems;

/// Deserializes, each time noting and taking out what does not fit, until the rest does; `None` when nothing is left.
pub fn read_all<R: DeserializeOwned>(value: &mut toml::Value, problems: &mut Problems) -> Option<R> {
    loop {
        let error = match serde_path_to_error::deserialize::<_, R>(value.clone()) {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        problems.add_unreadable(error.path(), error.inner().to_string().trim_end().replace('\n', "; "));
        if !remove(value, error.path()) {
            return None;
        }
    }
}

fn remove(root: &mut toml::Value, path: &serde_path_to_error::Path) -> bool {
    use serde_path_to_error::Segment;
    let segments: Vec<_> = path.iter().collect();
    let Some((last, parents)) = segments.split_last() else {
        return false;
    };
    let mut here = root;
    for segment in parents {
        let next = match segment {
            Segment::Map { key } => here.get_mut(key.as_str()),
            Segment::Seq { index } => here.get_mut(*index),
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => return false,
        }
    }
    match (last, here) {
        (Segment::Map { key }, toml::Value::Table(table)) => table.remove(key).is_some(),
        (Segment::Seq { index }, toml::Value::Array(array)) if *index < array.len() => {
            array.remove(*index);
            true
        }
        _ => false,
    }
}
