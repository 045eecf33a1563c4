//! What a string must look like to be a value of its attribute: dates,
//! base64, addresses (RFC 7643 sections 2.3.5 to 2.3.7), and, read strictly,
//! one of the canonical values (section 7).

use super::{Attribute, Problem, ScimType, Type, full_name, quoted, refused};
use crate::scim::filter::fold_case;

/// Refuses a text that is no value of the attribute.
pub(super) fn check(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    text: &str,
    strict: bool,
) -> Result<(), Problem> {
    if parent.is_none() && attribute.name == "userName" && text.contains(is_unseen) {
        return Err(Problem::bad(
            ScimType::InvalidValue,
            "userName holds a control character or one that nobody can see, so that two of them could look the same; leave it out",
        ));
    }
    let fits = match attribute.kind {
        Type::DateTime => text.parse::<jiff::Timestamp>().is_ok(),
        Type::Binary => is_base64(text),
        Type::Reference => is_address(text, strict && attribute.external),
        _ => true,
    };
    if !fits {
        return Err(refused(attribute, parent, "it was given another text"));
    }
    if strict && !is_canonical(attribute, text) {
        return Err(Problem::bad(
            ScimType::InvalidValue,
            format!(
                "{} must be one of {}, not {}",
                full_name(attribute, parent),
                attribute.canonical.join(", "),
                quoted(text)
            ),
        ));
    }
    Ok(())
}

/// Controls, and what is ignored when it is shown (RFC 8264 sections 9.12 and
/// 9.13): zero-width letters and joiners, marks of direction, soft hyphens.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn is_canonical(attribute: &Attribute, text: &str) -> bool {
    let same = |value: &String| {
        value == text || (!attribute.case_exact && fold_case(value) == fold_case(text))
    };
    attribute.canonical.is_empty() || attribute.canonical.iter().any(same)
}

/// RFC 4648 section 4 or 5; the padding may be left out (RFC 7643 section
/// 2.3.6), and the line breaks of PEM may stand between.
fn is_base64(text: &str) -> bool {
    let padded = text.trim_end_matches(['=', '\r', '\n']);
    let end = text.get(padded.len()..).unwrap_or_default();
    let letters = padded.bytes().filter(|b| !b"\r\n".contains(b));
    let length = letters.clone().count();
    let padding = end.bytes().filter(|b| *b == b'=').count();
    letters
        .clone()
        .all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b))
        && length % 4 != 1
        && (padding == 0 || (padding < 3 && (length + padding) % 4 == 0))
}

/// An address by the letters RFC 3986 (and, beyond ASCII, RFC 3987) allows;
/// one that leads out of this service begins with its scheme.
fn is_address(text: &str, external: bool) -> bool {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "<>\"\\^`{|}".contains(c);
    let scheme = || {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        scheme.is_some_and(|s| {
            s.starts_with(|c: char| c.is_ascii_alphabetic())
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
    };
    !text.is_empty() && !text.contains(forbidden) && (!external || scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_other_text() {
        for good in ["", "TQ==", "TQ", "TWE=", "TWFu", "MIIB\r\nTWFu\n", "-_-_"] {
            assert!(is_base64(good), "{good}");
        }
        for bad in ["T", "TWFu=", "T Q", "TQ=a", "TQ===", "ä", "TQ=\n=a"] {
            assert!(!is_base64(bad), "{bad}");
        }
    }

    #[test]
    fn an_address_has_no_spaces_and_an_external_one_a_scheme() {
        assert!(is_address("https://example.com/a?b=c", true));
        assert!(is_address("../Users/1", false));
        for bad in ["example.com/a", "a b:c", "", ":x", "1a:x"] {
            assert!(!is_address(bad, true), "{bad}");
        }
        assert!(!is_address("a b", false));
    }
}
