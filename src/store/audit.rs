//! The audit as it is read: one row for each committed change and each turn of
//! a lane with its calls, each bound to the one before by a digest
//! (reliability: I-34, S-38). Who changes, takes out or puts in a row breaks
//! the chain from there on; an end that was cut off shows by the head noted
//! beside the database, or by one that was kept elsewhere, which is better.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Millis;
use crate::scim::resource::ResourceId;

/// One row. `detail` is JSON text exactly as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// From 1, without gaps.
    pub number: i64,
    pub at: Millis,
    /// The connection's number in the store, and its name.
    pub key: i64,
    pub connection: String,
    /// A token's public id, `bridge`, `import`, or `operator` and a name.
    pub actor: String,
    pub action: String,
    pub resource: Option<ResourceId>,
    pub detail: String,
    /// Hexadecimal; rows that were written before there was a chain have none.
    pub chain: Option<String>,
}

/// The action of a row that tells that records before it were noted and are lost.
pub const CUT: &str = "lose_records";

/// What stands for the row before the first.
pub const GENESIS: [u8; 32] = *b"drawbridge audit chain, format 1";

/// The digest that binds a row to the one before. Every part is preceded by
/// its length, so that no two rows are the same sequence of bytes.
pub fn link(
    before: &[u8],
    (number, at, key): (i64, Millis, i64),
    (actor, action): (&str, &str),
    resource: Option<&ResourceId>,
    detail: &str,
) -> [u8; 32] {
    let mut digest = Sha256::new();
    let resource = resource.map_or(&[][..], |id| id.as_bytes());
    for part in [
        before,
        &number.to_be_bytes(),
        &at.to_be_bytes(),
        &key.to_be_bytes(),
        actor.as_bytes(),
        action.as_bytes(),
        resource,
        detail.as_bytes(),
    ] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

impl AuditRow {
    fn link(&self, before: &[u8]) -> [u8; 32] {
        let numbers = (self.number, self.at, self.key);
        let words = (self.actor.as_str(), self.action.as_str());
        link(before, numbers, words, self.resource.as_ref(), &self.detail)
    }
}

/// A walk along the chain, row by row.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    last: Option<(i64, Vec<u8>)>,
    /// Rows looked at, and those of them that are older than the chain.
    pub rows: u64,
    pub unchained: u64,
}

impl Walk {
    /// Looks at the next row; the error says what is wrong with it.
    pub fn step(&mut self, row: &AuditRow) -> Result<(), String> {
        let number = row.number;
        let expected = self.last.as_ref().map_or(1, |(last, _)| last + 1);
        if number != expected {
            return Err(format!(
                "record {expected} is missing; the next is {number}"
            ));
        }
        let chained = self
            .last
            .as_ref()
            .is_some_and(|(_, chain)| !chain.is_empty());
        let found = row.chain.as_deref().map(bytes);
        let found = match (found, chained) {
            (None, false) => {
                self.unchained += 1;
                Vec::new()
            }
            (None, true) => return Err(format!("record {number} has lost its digest")),
            (Some(found), chained) => {
                let before = self.last.as_ref().filter(|_| chained);
                let before = before.map_or(&GENESIS[..], |(_, chain)| chain);
                if found != row.link(before) {
                    return Err(format!(
                        "record {number} is not as it was written, or one before it was changed together with its digest"
                    ));
                }
                found
            }
        };
        self.last = Some((number, found));
        self.rows += 1;
        Ok(())
    }

    /// The number and the digest of the last row, to be kept elsewhere.
    pub fn head(&self) -> Option<(i64, String)> {
        let (number, chain) = self.last.as_ref()?;
        Some((*number, hex(chain)))
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is no hexadecimal text stands for no digest at all.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let parsed = digits.map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    parsed.collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rows(count: i64) -> Vec<AuditRow> {
        let mut before = GENESIS.to_vec();
        let row = |number| {
            let mut row = AuditRow {
                number,
                at: number * 10,
                key: 1,
                connection: "acme".into(),
                actor: "bridge".into(),
                action: "change_group".into(),
                resource: (number % 2 == 0).then(|| ResourceId::from_bytes([7; 16])),
                detail: format!("{{\"version\":{number}}}"),
                chain: None,
            };
            before = row.link(&before).to_vec();
            row.chain = Some(hex(&before));
            row
        };
        (1..=count).map(row).collect()
    }

    fn walk(rows: &[AuditRow]) -> Result<Walk, String> {
        let mut walk = Walk::default();
        rows.iter().try_for_each(|row| walk.step(row))?;
        Ok(walk)
    }

    #[test]
    fn a_whole_chain_is_walked_to_its_head() {
        let rows = rows(5);
        let walk = walk(&rows).unwrap();
        assert_eq!((walk.rows, walk.unchained), (5, 0));
        assert_eq!(walk.head(), Some((5, rows[4].chain.clone().unwrap())));
    }

    #[test]
    fn every_change_of_every_part_of_a_row_is_seen() {
        let changes: [fn(&mut AuditRow); 8] = [
            |row| row.at += 1,
            |row| row.key += 1,
            |row| row.actor.push('x'),
            |row| row.action.push('x'),
            |row| row.resource = Some(ResourceId::from_bytes([8; 16])),
            |row| row.detail.push(' '),
            |row| row.chain = Some("00".into()),
            |row| row.chain = None,
        ];
        for change in changes {
            for place in 1..5 {
                let mut rows = rows(5);
                change(&mut rows[place]);
                let error = walk(&rows).unwrap_err();
                assert!(error.contains(&format!("record {}", place + 1)), "{error}");
            }
        }
    }

    #[test]
    fn a_row_taken_out_put_in_or_moved_is_seen() {
        let mut gone = rows(5);
        gone.remove(2);
        assert!(walk(&gone).unwrap_err().contains("record 3 is missing"));
        let mut swapped = rows(5);
        swapped.swap(1, 2);
        assert!(walk(&swapped).is_err());
        let mut twice = rows(5);
        twice.insert(2, twice[2].clone());
        assert!(walk(&twice).is_err());
        // Words cannot move from one part to the next.
        let mut moved = rows(1);
        moved[0].actor = "bridgechange".into();
        moved[0].action = "_group".into();
        assert!(walk(&moved).is_err());
    }

    #[test]
    fn rows_from_before_the_chain_are_told_apart() {
        let mut old = rows(2);
        old[0].chain = None;
        let mut first = old[1].clone();
        first.chain = Some(hex(&first.link(&GENESIS)));
        old[1] = first;
        let walk = walk(&old).unwrap();
        assert_eq!((walk.rows, walk.unchained), (2, 1));
    }
}
