//! Cursors (RFC 9865): a place in a list as text that says nothing to anybody
//! else.
//!
//! A place holds what the list is sorted by, which is data about people and
//! must not stand in addresses and logs. So it is encrypted and authenticated
//! at once, with nothing but HMAC-SHA256: the tag over the place, the
//! connection and the query is also what the key stream begins from (the
//! construction of RFC 5297). A cursor of another connection or query, one
//! that was tampered with and one that never was look the same. The keys come
//! from the connection's pepper, so that cursors outlive a restart. Nothing is
//! kept here for a cursor, so there is nothing to exhaust.

use hmac::Mac;
use subtle::ConstantTimeEq;

use super::token::{Keyed, Tokens};
use crate::{
    scim::{
        catalog::{
            Assignable::{Entitlement, Role},
            Listable,
        },
        error::{Problem, ScimType},
        query::{CURSOR_TIMEOUT, SORT_KEY, SortKey},
        resource::ResourceType::{Group, User},
    },
    store::{Mark, Millis, Start},
};

/// A place and the way to go from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) direction: Direction,
    /// `None` is the end of the list that lies behind.
    pub(super) mark: Option<Mark>,
    /// Of the page that it was given with, and so of the next.
    pub(super) count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    After,
    Before,
}

/// The cursors of one query of one connection.
pub(super) struct Cursors {
    /// Has taken in what the cursors are bound to.
    tag: Keyed,
    stream: Keyed,
}

const TAG: usize = 16;
/// A key has a byte that tells its kind before the text.
const KEY: usize = SORT_KEY + 1;
/// Issued, count, direction, what it is, row, length of the key, key, and what
/// makes the whole a multiple of three.
const PLAIN: usize = 8 + 8 + 1 + 1 + 8 + 2 + KEY + FILLED;
const FILLED: usize = 1;
const SEALED: usize = TAG + PLAIN;

impl Cursors {
    /// `None` for a connection without tokens, which nobody can ask.
    pub(super) fn new(tokens: &Tokens, bound: &[&str]) -> Option<Self> {
        let mut tag = tokens.derived("list cursor: tag")?;
        for part in bound {
            tag.update(&(part.len() as u64).to_be_bytes());
            tag.update(part.as_bytes());
        }
        let stream = tokens.derived("list cursor: stream")?;
        Some(Self { tag, stream })
    }

    /// Where a page begins that is asked for with this cursor.
    pub(super) fn start(&self, cursor: &str, count: u64, now: Millis) -> Result<Start, Problem> {
        if cursor.is_empty() {
            return Ok(Start::After(None));
        }
        let (position, issued) = self.open(cursor).ok_or_else(invalid)?;
        if position.count != count {
            return Err(Problem::bad(
                ScimType::InvalidCount,
                format!(
                    "this cursor goes with count={}; send the same count for every page",
                    position.count
                ),
            ));
        }
        let age = now.saturating_sub(issued).max(0).cast_unsigned();
        if age > CURSOR_TIMEOUT * 1_000 {
            return Err(Problem::bad(
                ScimType::ExpiredCursor,
                format!(
                    "this cursor is older than {CURSOR_TIMEOUT} seconds; begin again with an empty cursor"
                ),
            ));
        }
        Ok(match position.direction {
            Direction::After => Start::After(position.mark),
            Direction::Before => Start::Before(position.mark),
        })
    }

    pub(super) fn seal(&self, position: &Position, now: Millis) -> String {
        let mut bytes = [0; SEALED];
        let (tag, plain) = bytes.split_at_mut(TAG);
        plain.copy_from_slice(&encoded(position, now));
        tag.copy_from_slice(&self.tag_of(plain));
        self.stream(tag, plain);
        text(&bytes)
    }

    fn open(&self, cursor: &str) -> Option<(Position, Millis)> {
        let mut bytes = bytes(cursor)?;
        let (tag, plain) = bytes.split_at_mut(TAG);
        self.stream(tag, plain);
        let genuine: bool = self.tag_of(plain).ct_eq(tag).into();
        genuine.then(|| decoded(plain)).flatten()
    }

    fn tag_of(&self, plain: &[u8]) -> [u8; TAG] {
        let full = self.tag.clone().chain_update(plain).finalize().into_bytes();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&full[..TAG]);
        tag
    }

    /// Encrypts, and decrypts what was encrypted.
    fn stream(&self, tag: &[u8], text: &mut [u8]) {
        for (number, block) in (0u32..).zip(text.chunks_mut(32)) {
            let key = self.stream.clone().chain_update(tag);
            let key = key.chain_update(number.to_be_bytes()).finalize();
            for (byte, key) in block.iter_mut().zip(key.into_bytes()) {
                *byte ^= key;
            }
        }
    }
}

fn invalid() -> Problem {
    Problem::bad(
        ScimType::InvalidCursor,
        "this cursor does not belong to this query; send all parameters as in the first request, or begin again with an empty cursor",
    )
}

/// Always of one length, so that it tells nothing of the key.
fn encoded(position: &Position, now: Millis) -> [u8; PLAIN] {
    let direction = match position.direction {
        Direction::After => 0,
        Direction::Before => 1,
    };
    let (of, row, key) = match &position.mark {
        None => (0, 0, &[][..]),
        Some(mark) => (type_code(mark.of), mark.row, mark.key.as_bytes()),
    };
    let key = &key[..key.len().min(KEY)];
    let length = u16::try_from(key.len()).unwrap_or(0);
    let text = [
        &now.to_be_bytes()[..],
        &position.count.to_be_bytes(),
        &[direction, of],
        &row.to_be_bytes(),
        &length.to_be_bytes(),
        key,
    ]
    .concat();
    let mut plain = [0; PLAIN];
    plain[..text.len()].copy_from_slice(&text);
    plain
}

fn decoded(plain: &[u8]) -> Option<(Position, Millis)> {
    let (now, rest) = plain.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let ([direction, of], rest) = rest.split_first_chunk::<2>()?;
    let (row, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let key = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    let mark = |of| Mark {
        key: SortKey::from_bytes(key),
        of,
        row: i64::from_be_bytes(*row),
    };
    let position = Position {
        direction: match direction {
            0 => Direction::After,
            _ => Direction::Before,
        },
        mark: type_of(*of).map(mark),
        count: u64::from_be_bytes(*count),
    };
    Some((position, i64::from_be_bytes(*now)))
}

fn type_code(of: Listable) -> u8 {
    match of {
        Listable::Stored(User) => 1,
        Listable::Stored(Group) => 2,
        Listable::Assignable(Role) => 3,
        Listable::Assignable(Entitlement) => 4,
    }
}

fn type_of(code: u8) -> Option<Listable> {
    match code {
        1 => Some(User.into()),
        2 => Some(Group.into()),
        3 => Some(Role.into()),
        4 => Some(Entitlement.into()),
        _ => None,
    }
}

/// Base64 in the alphabet for addresses (RFC 4648 section 5), all of it
/// unreserved there (RFC 3986 section 2.3). Three bytes are four letters; the
/// length needs no padding, so that there is one spelling of each cursor.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const _: () = assert!(SEALED.is_multiple_of(3));

fn text(bytes: &[u8; SEALED]) -> String {
    let mut text = String::with_capacity(SEALED / 3 * 4);
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(ALPHABET[number >> shift & 63]));
        }
    }
    text
}

fn bytes(text: &str) -> Option<[u8; SEALED]> {
    if text.len() != SEALED / 3 * 4 {
        return None;
    }
    let mut bytes = [0; SEALED];
    for (three, four) in bytes.chunks_mut(3).zip(text.as_bytes().chunks(4)) {
        let mut number = 0;
        for letter in four {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            number = number << 6 | u32::try_from(value).ok()?;
        }
        three.copy_from_slice(&number.to_be_bytes()[1..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
