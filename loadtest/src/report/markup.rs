//! Text in HTML. Every value that is not a constant of this crate goes through one of these.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::is_unfit;

/// A text between tags or within a quoted attribute.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            write_escaped(f, c)?;
        }
        Ok(())
    }
}

/// A long name between tags, which may be broken after its own separators.
pub(super) struct Name<'a>(pub(super) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            write_escaped(f, c)?;
            if matches!(c, '/' | '_' | '[') {
                f.write_str("<wbr>")?;
            }
        }
        Ok(())
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        c if is_unfit(c) => f.write_char(char::REPLACEMENT_CHARACTER),
        other => f.write_char(other),
    }
}

/// A value as JSON within a script element: no markup can begin or end in it.
pub(super) fn json(value: &impl Serialize) -> String {
    // Lists and maps of strings and numbers are always JSON.
    let json = serde_json::to_string(value).unwrap_or_default();
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace(is_unfit, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "</script><b a='1' c=\"2\">&\u{202e}\u{1}";

    #[test]
    fn no_text_is_markup_in_any_place() {
        let escaped = "&lt;/script&gt;&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\u{fffd}\u{fffd}";
        assert_eq!(Text(NASTY).to_string(), escaped);
        assert_eq!(Name(NASTY).to_string().replace("<wbr>", ""), escaped);
        let json = json(&vec![NASTY]);
        assert!(!json.contains(['<', '>', '&']), "{json}");
        let read: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, [NASTY.replace('\u{202e}', "\u{fffd}")]);
    }
}
