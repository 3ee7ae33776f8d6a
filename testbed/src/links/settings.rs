//! What happens to the datagrams of a link, as scripts write it and as it is told to them.

use std::ops::RangeInclusive;
use std::time::Duration;

use postern_protocol::json::Object;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// Longest delay that can be asked for. QUIC gives a connection up after three seconds of silence, so that beyond this
/// a link is a black hole, for which there is `drop`.
const LONGEST_DELAY_MS: u64 = 10_000;

/// What happens on a link, the same in both directions. By default nothing does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Every datagram vanishes, those under way too: a black hole.
    pub drop: bool,
    /// The share of datagrams that vanish, each by its own lot; from 0 to 1.
    pub loss: f64,
    /// Least and longest time that a datagram takes; equally likely between the two.
    pub delay: (Duration, Duration),
    /// Whether a datagram may overtake another whose delay is longer. Otherwise it waits for those before it.
    pub reorder: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            drop: false,
            loss: 0.0,
            delay: (Duration::ZERO, Duration::ZERO),
            reorder: false,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    drop: bool,
    loss: f64,
    delay_ms: (u64, u64),
    reorder: bool,
}

impl Settings {
    /// Reads `{"drop":bool,"loss":0.05,"delay_ms":[0,50],"reorder":bool}`. What is left out does not happen.
    ///
    /// # Errors
    /// What is wrong, with the member's name: all of it where it is JSON of the right shape.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let Object(raw): Object<Raw> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let text = error.into_inner().to_string();
            // Of the body as a whole the path is ".".
            if path == "." { text } else { format!("{path}: {text}") }
        })?;
        json.end().map_err(|error| error.to_string())?;
        raw.validate()
    }
}

impl Raw {
    fn validate(self) -> Result<Settings, String> {
        const SHARE: RangeInclusive<f64> = 0.0..=1.0;
        let mut problems = Vec::new();
        if !SHARE.contains(&self.loss) {
            problems.push(format!("loss: {} is no share; it must be from 0 to 1", self.loss));
        }
        let (least, most) = self.delay_ms;
        if least > most {
            problems.push(format!("delay_ms: the first, {least}, is above the second, {most}"));
        }
        if most > LONGEST_DELAY_MS {
            problems.push(format!("delay_ms: {most} is above the most, {LONGEST_DELAY_MS}"));
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        Ok(Settings {
            drop: self.drop,
            loss: self.loss,
            delay: (Duration::from_millis(least), Duration::from_millis(most)),
            reorder: self.reorder,
        })
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (least, most) = self.delay;
        let mut object = serializer.serialize_struct("Settings", 4)?;
        object.serialize_field("drop", &self.drop)?;
        object.serialize_field("loss", &self.loss)?;
        object.serialize_field("delay_ms", &(least.as_millis(), most.as_millis()))?;
        object.serialize_field("reorder", &self.reorder)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_does_not_happen() {
        assert_eq!(Settings::parse(b"{}").unwrap(), Settings::default());
        let lossy = Settings::parse(br#"{"loss":0.05}"#).unwrap();
        assert_eq!((lossy.loss, lossy.drop, lossy.reorder), (0.05, false, false));
    }

    #[test]
    fn what_is_told_can_be_sent_back() {
        let text = json!({"drop": true, "loss": 0.05, "delay_ms": [0, 50], "reorder": true});
        let settings = Settings::parse(text.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(settings).unwrap(), text);
    }

    #[test]
    fn whatever_is_wrong_is_named_by_its_member() {
        for (body, member) in [
            (r#"{"lost":1}"#, "lost"),
            (r#"{"drop":"yes"}"#, "drop"),
            (r#"{"loss":1.5}"#, "loss"),
            (r#"{"loss":-0.1}"#, "loss"),
            (r#"{"delay_ms":[50,0]}"#, "delay_ms"),
            (r#"{"delay_ms":[0,20000]}"#, "delay_ms"),
            (r#"{"delay_ms":50}"#, "delay_ms"),
            (r#"{"delay_ms":[-1,50]}"#, "delay_ms"),
            (r#"{"reorder":1}"#, "reorder"),
            (r#"{"drop":true,"drop":true}"#, "drop"),
        ] {
            let problem = Settings::parse(body.as_bytes()).unwrap_err();
            assert!(problem.contains(member), "{body}: {problem}");
        }
        let both = Settings::parse(br#"{"loss":2,"delay_ms":[2,1]}"#).unwrap_err();
        assert!(both.contains("loss") && both.contains("delay_ms"), "{both}");
        for no_settings in ["", "[]", "7", "{} {}"] {
            assert!(Settings::parse(no_settings.as_bytes()).is_err(), "{no_settings:?}");
        }
    }
}
