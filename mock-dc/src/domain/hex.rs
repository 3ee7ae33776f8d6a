//! Bytes as hexadecimal digits, two each, as people and snapshots write them.

use std::fmt::Write;

/// Lower case.
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Reads digits of either case; `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).as_ref(), Some(&all));
        assert_eq!(decode(&encode(&all).to_uppercase()).as_ref(), Some(&all));
        assert_eq!(decode("").as_deref(), Some(&[][..]));
        for wrong in ["0", "+1", "0x", "1 ", "g0", "é"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
