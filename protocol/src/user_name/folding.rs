//! One key for all the spellings of an account's name.
//!
//! Active Directory compares names without regard to case, nonspacing marks, width and type of kana (MS-ADTS 6.5),
//! by tables of Windows that are not to be had here: "bjorn", "Björn" and "bjǫrṅ" are one account there, and ß is ss, ø is
//! o. Whatever may be one account has to have one key, or somebody who guesses passwords has as many tries as spellings.
//! Two accounts with one key only share what is counted, so that in doubt a difference is dropped.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The key of `name`. Empty where nothing of it counts.
pub(super) fn fold(name: &str) -> String {
    if name.is_ascii() {
        // Most names, of which nothing but the case needs a table.
        return spell(name.len(), name.chars().map(|c| c.to_ascii_lowercase()));
    }
    spell(name.len(), letters(name))
}

/// What counts of a name, without case.
fn letters(name: &str) -> impl Iterator<Item = char> {
    DecomposingNormalizerBorrowed::new_nfkd()
        .normalize_iter(name.chars())
        // Before the case: the capital of a mark, the Greek iota below, is a letter.
        .filter(|c| counts(*c))
        .flat_map(without_case)
        .filter(|c| counts(*c))
}

fn spell(length: usize, letters: impl Iterator<Item = char>) -> String {
    let mut folded = String::with_capacity(length);
    let mut after_blank = false;
    for letter in letters {
        if letter.is_whitespace() {
            after_blank = true;
            continue;
        }
        if after_blank && !folded.is_empty() {
            folded.push(' ');
        }
        after_blank = false;
        match spelled_out(letter) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(one_kana(one_digit(letter))),
        }
    }
    folded
}

/// Whether a decomposed character makes a difference. Marks do not, nor does what cannot be seen. What Windows' tables
/// do not know has no weight there and is as if it were not written: characters that nobody has assigned, and in older
/// tables all beyond the first plane.
fn counts(c: char) -> bool {
    use GeneralCategory as Is;
    const TATWEEL: char = '\u{640}';
    let nothing = matches!(
        category(c),
        Is::NonspacingMark | Is::EnclosingMark | Is::Format | Is::Unassigned | Is::PrivateUse
    );
    !nothing && c <= '\u{ffff}' && c != TATWEEL && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Through the capital, where letters meet that have one capital (σ and ς) or whose capital is several (ß); and first to
/// the small letter, since the capital ß is its own.
fn without_case(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// Small letters that are another letter with a stroke, a hook or a tail, or two letters in one, and that Unicode does
/// not take apart.
fn spelled_out(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ⱥ' => "a",
        'æ' => "ae",
        'ƀ' | 'ɓ' | 'ƃ' => "b",
        'ƈ' | 'ȼ' => "c",
        'đ' | 'ð' | 'ɖ' | 'ɗ' | 'ƌ' => "d",
        'ɇ' => "e",
        'ƒ' => "f",
        'ǥ' | 'ɠ' => "g",
        'ħ' | 'ⱨ' => "h",
        'ı' | 'ɨ' => "i",
        'ȷ' | 'ɉ' => "j",
        'ƙ' | 'ⱪ' => "k",
        'ł' | 'ƚ' | 'ɫ' | 'ⱡ' => "l",
        'ɲ' | 'ƞ' | 'ŋ' => "n",
        'ø' | 'ɵ' => "o",
        'œ' => "oe",
        'ƥ' | 'ᵽ' => "p",
        'ɋ' => "q",
        'ɍ' | 'ɽ' => "r",
        'ȿ' => "s",
        'ŧ' | 'ƭ' | 'ʈ' | 'ⱦ' => "t",
        'þ' => "th",
        'ʉ' => "u",
        'ʋ' => "v",
        'ⱳ' => "w",
        'ƴ' | 'ɏ' => "y",
        'ƶ' | 'ȥ' | 'ɀ' | 'ⱬ' => "z",
        _ => return None,
    })
}

/// The digits of all scripts as the same ten. Each script has them in a row, from nought to nine.
fn one_digit(letter: char) -> char {
    let is_digit = |c: char| category(c) == GeneralCategory::DecimalNumber;
    if letter.is_ascii() || !is_digit(letter) {
        return letter;
    }
    let below = ('\0'..letter).rev().take_while(|c| is_digit(*c)).count();
    u32::try_from(below)
        .ok()
        .and_then(|value| char::from_digit(value % 10, 10))
        .unwrap_or(letter)
}

/// Katakana as hiragana, and the small ones as the large.
fn one_kana(letter: char) -> char {
    let hiragana = match letter {
        'ァ'..='ヶ' | 'ヽ' => char::from_u32(u32::from(letter) - 0x60).unwrap_or(letter),
        other => other,
    };
    match hiragana {
        'ぁ' => 'あ',
        'ぃ' => 'い',
        'ぅ' => 'う',
        'ぇ' => 'え',
        'ぉ' => 'お',
        'っ' => 'つ',
        'ゃ' => 'や',
        'ゅ' => 'ゆ',
        'ょ' => 'よ',
        'ゎ' => 'わ',
        'ゕ' => 'か',
        'ゖ' => 'け',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The other case, where that is one letter as well.
    fn other_case(c: char) -> char {
        fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
            letters.next().filter(|_| letters.next().is_none())
        }
        let upper = only(c.to_uppercase()).unwrap_or(c);
        if upper == c {
            only(c.to_lowercase()).unwrap_or(c)
        } else {
            upper
        }
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        for (key, spellings) in [
            (
                "bjorn",
                &[
                    "Björn",
                    "BJO\u{308}RN",
                    "bjǫrṅ",
                    "bjørn",
                    "BJØRN",
                    "b\u{323}\u{307}\u{35c}jorn",
                ][..],
            ),
            ("strasse", &["straße", "STRASSE", "STRAẞE", "ſtraſſe"]),
            ("οδοσ", &["οδος", "ΟΔΟΣ", "οδοσ", "ὁδός"]),
            ("aegir thor", &["Ægir Þor", "ǽgir þór", "AEGIR  THOR"]),
            ("oedd", &["Œđð", "ŒĐÐ"]),
            ("lukasz", &["Łukasz", "ŁUKASZ", "lukasz"]),
            ("ilhit", &["ılhıt", "İLĦİŦ", "ILHIT"]),
            ("anna", &["ａｎｎａ", "ＡＮＮＡ", "ⓐⓝⓝⓐ", "𝐀𝐧𝐧𝐚", "ªnna"]),
            (
                "zoe",
                &[
                    "z\u{ad}oe",
                    "zo\u{200b}e",
                    "zo\u{200d}e",
                    "\u{feff}zoe",
                    "zoe\u{fe0f}",
                    "z\u{34f}oë",
                    "zoe\u{e0100}",
                    "zoe\u{1f600}",
                    "zoe\u{378}",
                    "\u{e000}zoe",
                ],
            ),
            ("fili", &["ﬁli", "FILI"]),
            ("さくら", &["サクラ", "ｻｸﾗ", "ザグラ"]),
            ("きようと", &["きょうと", "キョウト"]),
            ("user17", &["user１７", "user١٧", "user१७", "user¹⁷"]),
            ("محمد", &["محـــمد", "مُحَمَّد"]),
            ("", &["\u{301}", "\u{200b}\u{200d}", "\u{1f600}"]),
        ] {
            for spelling in spellings {
                assert_eq!(fold(spelling), key, "{spelling}");
            }
        }
    }

    #[test]
    fn the_short_way_of_ascii_leads_where_the_long_one_does() {
        for first in '\0'..='\x7f' {
            for second in '\0'..='\x7f' {
                let name: String = ['a', first, second, 'Z'].iter().collect();
                assert_eq!(fold(&name), spell(name.len(), letters(&name)), "{name:?}");
            }
        }
    }

    #[test]
    fn other_names_have_other_keys() {
        let names = [
            "ann",
            "anna",
            "ana",
            "an na",
            "an-na",
            "an.na",
            "o'brien",
            "obrien",
            "user1",
            "user2",
            "анна",
            "άννα",
            "さくら",
            "桜",
            "ann$",
        ];
        let keys: std::collections::BTreeSet<_> = names.iter().map(|name| fold(name)).collect();
        assert_eq!(keys.len(), names.len(), "{keys:?}");
    }

    #[test]
    fn every_character_has_one_key_in_both_cases_and_with_a_mark_and_its_key_is_its_own() {
        for c in '\0'..=char::MAX {
            let key = fold(&c.to_string());
            assert_eq!(fold(&key), key, "{c:?}");
            assert_eq!(fold(&format!("{c}\u{301}")), key, "{c:?}");
            if counts(c) {
                assert_eq!(fold(&other_case(c).to_string()), key, "{c:?}");
            }
        }
    }

    #[test]
    fn the_digits_of_every_script_have_the_value_that_they_stand_for() {
        let digits: String = ('\u{80}'..='\u{ffff}')
            .filter(|c| category(*c) == GeneralCategory::DecimalNumber)
            .collect();
        assert_eq!(fold(&digits), "0123456789".repeat(digits.chars().count() / 10));
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in "\\PC{0,40}") {
            let key = fold(&text);
            prop_assert_eq!(fold(&key), key);
        }

        #[test]
        fn neither_marks_nor_what_is_unseen_nor_case_changes_the_key(
            letters in proptest::collection::vec(("\\PC", any::<bool>(), "[\\u{300}-\\u{36f}\\u{483}-\\u{489}\\u{20d0}-\\u{20f0}\\u{ad}\\u{200b}-\\u{200d}\\u{fe0f}\\u{feff}]{0,3}"), 0..20),
        ) {
            let plain: String = letters.iter().map(|(letter, ..)| letter.as_str()).collect();
            let dressed: String = letters
                .iter()
                .map(|(letter, swapped, marks)| {
                    let letter: String = if *swapped {
                        letter.chars().map(|c| if counts(c) { other_case(c) } else { c }).collect()
                    } else {
                        letter.clone()
                    };
                    letter + marks
                })
                .collect();
            prop_assert_eq!(fold(&dressed), fold(&plain));
        }
    }
}
