//! From a display name to a legal Opsera group name, by a rule that anyone
//! can follow by eye. Opsera has no other key for a group than this name, and
//! never lets it change.

use sha2::{Digest, Sha256};

/// The longest legal name.
pub(super) const LONGEST: usize = 25;
/// What is kept of a name that is too long, before `-` and four hex digits.
const KEPT: usize = 20;

/// The naming rule, as said to administrators.
pub(super) const RULE: &str = "a lower-case letter first, then lower-case letters, digits, \
                               \"-\" and \"_\", at most 25 characters in all";

/// Whether Opsera would take this name for a new group.
pub(super) fn is_legal(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= LONGEST
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(is_tail)
}

/// The name for a display name; `None` when nothing of it can be kept. A legal
/// name stays as it is. Otherwise: lower case, accents off, every run of other
/// characters one `-`, a letter first (else `g-`), and what is longer than 25
/// is cut to 20 with four digits of a digest of the whole, so that long names
/// which differ only at their end stay apart.
pub(super) fn of(display_name: &str) -> Option<String> {
    if is_legal(display_name) {
        return Some(display_name.to_owned());
    }
    let folded = fold(display_name);
    if folded.is_empty() {
        return None;
    }
    let starts_well = folded.starts_with(|first: char| first.is_ascii_lowercase());
    let whole = if starts_well {
        folded
    } else {
        format!("g-{folded}")
    };
    if whole.len() <= LONGEST {
        return Some(whole);
    }
    let digest = Sha256::digest(whole.as_bytes());
    let kept = whole[..KEPT].trim_end_matches(['-', '_']);
    Some(format!("{kept}-{:02x}{:02x}", digest[0], digest[1]))
}

/// Only legal characters, without `-` and `_` at the ends.
fn fold(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' | '_' => out.push(c),
            // A combining mark belongs to the letter before it.
            '\u{300}'..='\u{36f}' => {}
            _ => match plain(c) {
                Some(letters) => out.push_str(letters),
                None if out.ends_with('-') => {}
                None => out.push('-'),
            },
        }
    }
    out.trim_matches(['-', '_']).to_owned()
}

fn is_tail(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// The letters of western Europe without their accents.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{e0}'..='\u{e3}' | '\u{e5}' | '\u{101}' | '\u{103}' | '\u{105}' => "a",
        '\u{e4}' | '\u{e6}' => "ae",
        '\u{e7}' | '\u{107}' | '\u{10d}' => "c",
        '\u{10f}' | '\u{111}' | '\u{f0}' => "d",
        '\u{e8}'..='\u{eb}' | '\u{113}' | '\u{119}' | '\u{11b}' => "e",
        '\u{ec}'..='\u{ef}' | '\u{12b}' | '\u{131}' => "i",
        '\u{142}' => "l",
        '\u{f1}' | '\u{144}' | '\u{148}' => "n",
        '\u{f2}'..='\u{f5}' | '\u{14d}' | '\u{151}' => "o",
        '\u{f6}' | '\u{f8}' | '\u{153}' => "oe",
        '\u{155}' | '\u{159}' => "r",
        '\u{15b}' | '\u{15f}' | '\u{161}' => "s",
        '\u{df}' => "ss",
        '\u{165}' | '\u{163}' => "t",
        '\u{fe}' => "th",
        '\u{f9}'..='\u{fb}' | '\u{16b}' | '\u{16f}' | '\u{171}' => "u",
        '\u{fc}' => "ue",
        '\u{fd}' | '\u{ff}' => "y",
        '\u{17a}' | '\u{17c}' | '\u{17e}' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rule_by_example() {
        for (display, name) in [
            ("Engineering", "engineering"),
            ("developers-team", "developers-team"),
            ("a--b", "a--b"),
            ("Engineering Team", "engineering-team"),
            ("  R&D / Platform  ", "r-d-platform"),
            ("Data_Science", "data_science"),
            ("2nd Line Support", "g-2nd-line-support"),
            ("_private", "private"),
            ("Gesch\u{e4}ftsf\u{fc}hrung", "geschaeftsfuehrung"),
            ("E\u{301}quipe", "equipe"),
            ("Caf\u{e9} Z\u{fc}rich", "cafe-zuerich"),
            ("exactly-twenty-five-chars", "exactly-twenty-five-chars"),
        ] {
            assert_eq!(of(display).as_deref(), Some(name), "{display:?}");
        }
        assert_eq!(of("\u{958b}\u{767a}\u{90e8}"), None);
        assert_eq!(of(""), None);
        assert_eq!(of(" - "), None);
    }

    #[test]
    fn long_names_that_differ_at_their_end_stay_apart() {
        let one = of("Platform Engineering Europe North").unwrap();
        let two = of("Platform Engineering Europe South").unwrap();
        assert!(one.starts_with("platform-engineering-"), "{one}");
        assert_ne!(one, two);
        assert_eq!(one, of("platform engineering europe north").unwrap());
    }

    proptest! {
        #[test]
        fn what_comes_out_is_legal_and_stays(display in "\\PC{0,60}") {
            if let Some(name) = of(&display) {
                prop_assert!(is_legal(&name), "{display:?} became {name:?}");
                prop_assert_eq!(of(&name), Some(name.clone()));
            }
        }
    }
}
