//! What no schema defines (RFC 7643 section 2.1). Read leniently it is left
//! out and counted, so that nobody takes silence for storage (reliability:
//! S-44); read strictly it is refused by name.

use super::{
    error::{Problem, ScimType},
    json::{Limits, quoted},
};

/// What was taken of a body, and what was left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken<T> {
    pub taken: T,
    pub dropped: Dropped,
}

/// Attributes that were left out of a request because no schema defines them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    count: usize,
    names: Vec<String>,
}

impl Dropped {
    /// Names that are kept for the log; the rest is only counted.
    const SHOWN: usize = 8;

    pub fn count(&self) -> usize {
        self.count
    }

    /// The first few, in quotes and shortened, as the client wrote them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn note(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < Self::SHOWN {
            self.names.push(quoted(name));
        }
    }
}

/// How one request is read, and what was left out of it so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) strict: bool,
    pub(super) dropped: Dropped,
}

impl Reading {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            strict: limits.strict,
            dropped: Dropped::default(),
        }
    }

    /// Leaves out an attribute that no schema defines, or refuses it.
    pub(super) fn unknown(&mut self, name: &str) -> Result<(), Problem> {
        if self.strict {
            return Err(undefined(name));
        }
        self.dropped.note(name);
        Ok(())
    }

    /// The same for a part of a complex attribute.
    pub(super) fn unknown_part(&mut self, of: &str, name: &str) -> Result<(), Problem> {
        self.unknown(&format!("{of}.{name}"))
    }

    pub(super) fn taken<T>(self, taken: T) -> Taken<T> {
        Taken {
            taken,
            dropped: self.dropped,
        }
    }
}

/// The refusal of an attribute that no schema defines.
pub(super) fn undefined(name: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidSyntax,
        format!(
            "no schema of this connection defines {}; /Schemas lists what there is",
            quoted(name)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_counted_and_the_first_few_are_kept() {
        let mut reading = Reading::default();
        for i in 0..20 {
            assert_eq!(reading.unknown(&format!("x{i}")), Ok(()));
        }
        let taken = reading.taken(());
        assert_eq!(taken.dropped.count(), 20);
        assert_eq!(taken.dropped.names().len(), Dropped::SHOWN);
    }

    #[test]
    fn strict_reading_refuses_the_first_by_name() {
        let mut reading = Reading {
            strict: true,
            ..Reading::default()
        };
        let problem = reading.unknown("noSuch").err();
        assert!(problem.is_some_and(|p| p.detail.contains("\"noSuch\"")));
    }
}
