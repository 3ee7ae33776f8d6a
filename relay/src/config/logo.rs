//! A tenant's logo for the sign-in page: a PNG or SVG file, told by its content and read once, at start.

use std::path::Path;

use bytes::Bytes;

/// The largest file, in bytes. It is shown 48 pixels high; whatever is larger than this is a photograph, and everybody
/// who signs in waits for it.
const MAX_BYTES: u64 = 128 * 1024;

/// RFC 2083, section 3.1.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// An image that browsers show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    kind: Kind,
    bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Png,
    Svg,
}

/// Why a file is no logo.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] std::io::Error),
    /// Over the limit.
    #[error("has {0} bytes; {MAX_BYTES} at most. It is shown 48 pixels high: make it smaller")]
    TooLarge(u64),
    /// Something else.
    #[error("is neither an SVG nor a PNG image")]
    Kind,
}

impl Logo {
    /// Reads a file.
    ///
    /// # Errors
    /// [`LogoError`].
    pub fn read(path: &Path) -> Result<Self, LogoError> {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_BYTES {
            return Err(LogoError::TooLarge(size));
        }
        Self::from_bytes(std::fs::read(path)?)
    }

    /// Tells by the content what it is.
    ///
    /// # Errors
    /// [`LogoError::Kind`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, LogoError> {
        let kind = if bytes.starts_with(PNG) {
            Kind::Png
        } else if std::str::from_utf8(&bytes).is_ok_and(is_svg) {
            Kind::Svg
        } else {
            return Err(LogoError::Kind);
        };
        let bytes = bytes.into();
        Ok(Self { kind, bytes })
    }

    /// The file. Clones share its memory: strangers can have many answers with it under way.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its media type.
    pub fn media_type(&self) -> &'static str {
        match self.kind {
            Kind::Png => "image/png",
            Kind::Svg => "image/svg+xml",
        }
    }
}

/// Whether the first element is `svg`, after whatever may stand before it.
fn is_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<!DOCTYPE") {
            ">"
        } else {
            break;
        };
        let Some((_, after)) = rest.split_once(end) else {
            return false;
        };
        rest = after.trim_start();
    }
    let name = rest.strip_prefix("<svg");
    name.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media_type(bytes: &[u8]) -> Option<&'static str> {
        Logo::from_bytes(bytes.to_vec()).ok().map(|logo| logo.media_type())
    }

    #[test]
    fn an_image_is_told_by_its_content() {
        let prefaced = "\u{feff}<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<!DOCTYPE svg>\n<svg xmlns=\"…\"/>";
        assert_eq!(media_type(prefaced.as_bytes()), Some("image/svg+xml"));
        assert_eq!(media_type(b"<svg></svg>"), Some("image/svg+xml"));
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n\0\0"), Some("image/png"));
    }

    #[test]
    fn a_page_of_html_a_script_and_a_photograph_are_no_logos() {
        let others: [&[u8]; 7] = [
            b"",
            b"<html><svg></svg></html>",
            b"alert(1) //<svg>",
            b"<svgx>",
            b"<!-- <svg> ",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"<svg>\xff</svg>",
        ];
        for other in others {
            assert_eq!(media_type(other), None, "{}", other.escape_ascii());
        }
    }
}
