//! Where the filter parser stands in the text: spaces, words, JSON values and
//! faults with their place.

use serde_json::Number;

use crate::scim::error::{Problem, ScimType};

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// In bytes; always on a character's boundary.
    pub(super) at: usize,
    /// Bytes looked at so far, some more than once.
    #[cfg(test)]
    pub(super) looked: usize,
}

/// A value to compare with.
pub(super) enum Literal {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self {
            text,
            at,
            #[cfg(test)]
            looked: 0,
        }
    }

    pub(super) fn on_space(&self) -> bool {
        matches!(self.text.as_bytes().get(self.at), Some(b' ' | b'\t'))
    }

    /// An attribute's name with its URN, or a keyword.
    pub(super) fn name(&mut self) -> &'a str {
        self.take_while(is_name_byte)
    }

    pub(super) fn literal(&mut self) -> Result<Literal, Problem> {
        let start = self.at;
        let literal = match self.peek() {
            Some(b'"') => Literal::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => {
                let digits = self.take_while(|b| {
                    b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')
                });
                match serde_json::from_str(digits) {
                    Ok(number) => Literal::Number(number),
                    Err(_) => return Err(self.fault_at(start, "this is no JSON number")),
                }
            }
            _ => match self.take_while(|b| b.is_ascii_alphanumeric()) {
                word if word.eq_ignore_ascii_case("true") => Literal::Flag(true),
                word if word.eq_ignore_ascii_case("false") => Literal::Flag(false),
                word if word.eq_ignore_ascii_case("null") => Literal::Null,
                _ => {
                    let why = "expected a value here: text in double quotes, a number, true, false or null";
                    return Err(self.fault_at(start, why));
                }
            },
        };
        match self.text.as_bytes().get(self.at) {
            None | Some(b' ' | b'\t' | b')' | b']') => Ok(literal),
            Some(_) => Err(self.fault("expected a space, `)`, `]` or the end after the value")),
        }
    }

    /// A JSON string, by JSON's rules.
    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let mut escaped = false;
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        let end = rest.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        });
        let Some(end) = end else {
            return Err(self.fault("this text has no closing quote"));
        };
        self.at = start + 1 + end + 1;
        self.count(end + 2);
        let written = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written)
            .map_err(|_| self.fault_at(start, "this text holds an escape that JSON does not know, or a control character, which must be escaped"))
    }

    /// The next byte that is no space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.skip_spaces();
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip_spaces(&mut self) {
        self.take_while(|b| b == b' ' || b == b'\t');
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        self.eat_exactly(byte)
    }

    pub(super) fn eat_exactly(&mut self, byte: u8) -> bool {
        let there = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let start = self.at;
        self.skip_spaces();
        if self.name().eq_ignore_ascii_case(word) {
            return true;
        }
        self.at = start;
        false
    }

    /// Only bytes of ASCII are ever taken, so this stays on a boundary.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|b| b.is_ascii() && wanted(**b))
            .count();
        let taken = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.at += length;
        self.count(length + 1);
        taken
    }

    #[cfg(test)]
    fn count(&mut self, bytes: usize) {
        self.looked += bytes;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests count")]
    fn count(&self, _: usize) {}

    pub(super) fn fault(&self, why: &str) -> Problem {
        self.fault_at(self.at, why)
    }

    pub(super) fn fault_at(&self, at: usize, why: &str) -> Problem {
        let place = self.character(at);
        Problem::bad(
            ScimType::InvalidFilter,
            format!("invalid filter at character {place}: {why}"),
        )
    }

    /// Counted from one, in characters.
    pub(super) fn character(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.chars().count() + 1
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'$')
}
