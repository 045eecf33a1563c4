//! The place in a standard that a source names: `RFC 7644 section 3.5.2.1`.
//! Ordered as the standards are read, so that reports are the same every time.

use std::fmt;

/// An RFC and a section of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Section {
    rfc: u32,
    number: Vec<u32>,
}

impl Section {
    /// Nothing when the source is no RFC.
    pub(crate) fn of(source: &str) -> Option<Self> {
        let rest = source.strip_prefix("RFC ")?;
        let (rfc, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = rest.strip_prefix("section ").unwrap_or_default();
        let number = number
            .split(|c: char| c != '.' && !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        Some(Self {
            rfc: rfc.trim_end_matches([',', ':', ';']).parse().ok()?,
            number: number
                .split('.')
                .filter_map(|part| part.parse().ok())
                .collect(),
        })
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number: Vec<String> = self.number.iter().map(u32::to_string).collect();
        match number.as_slice() {
            [] => write!(f, "RFC {}", self.rfc),
            number => write!(f, "RFC {} section {}", self.rfc, number.join(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_come_in_the_order_of_the_document() {
        let mut sections: Vec<String> = [
            "RFC 7644 section 3.14",
            "RFC 7644 section 3.5.2.1 (x)",
            "RFC 7643 section 8",
            "RFC 7644",
        ]
        .iter()
        .filter_map(|source| Section::of(source))
        .collect::<std::collections::BTreeSet<_>>()
        .iter()
        .map(ToString::to_string)
        .collect();
        sections.dedup();
        assert_eq!(
            sections,
            [
                "RFC 7643 section 8",
                "RFC 7644",
                "RFC 7644 section 3.5.2.1",
                "RFC 7644 section 3.14"
            ]
        );
        assert_eq!(Section::of("https://example.com/RFC 7644"), None);
    }
}
