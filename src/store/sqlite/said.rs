//! What was last said here of who is in a group: whether they were taken out. The audit
//! tells every change there ever was. What has been read of it is kept, so that what is
//! read again is only what came since, however long the history is.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;

use crate::{scim::resource::ResourceId, store::Millis};

use super::fault::Result;

/// Fewer changes are read rather than kept.
pub(super) const FEW: i64 = 100;
/// Members whose last change is written in one transaction, but for those of one
/// change.
const PORTION: usize = 2_000;

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

/// The last that was done about a membership here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// The row of the audit that tells it, or the one before.
    pub(super) number: i64,
    /// When it was taken away, if it was.
    pub(super) ended: Option<Millis>,
}

/// Of some users, by their ids; by the places that these have. An id of whoever had the
/// account before has the place of who has it now.
pub(super) fn last(
    db: &Connection,
    group: i64,
    places: &HashMap<String, usize>,
) -> Result<HashMap<usize, Last>> {
    let mut found: HashMap<usize, Last> = HashMap::new();
    if places.is_empty() {
        return Ok(found);
    }
    let mut kept =
        db.prepare_cached("SELECT number, ended FROM said WHERE group_key = ?1 AND user_id = ?2")?;
    for (id, place) in places {
        let Some(id) = ResourceId::parse(id) else {
            continue;
        };
        let last = kept.query_row(params![group, id.as_bytes()], |row| {
            Ok(Last {
                number: row.get(0)?,
                ended: row.get(1)?,
            })
        });
        let Some(last) = last.optional()? else {
            continue;
        };
        // Of one change who was taken out counts.
        let order = |it: &Last| (it.number, it.ended.is_some());
        if found.get(place).is_none_or(|it| order(it) < order(&last)) {
            found.insert(*place, last);
        }
    }
    since(db, group, kept_upto(db, group)?, |last, ids| {
        let ours = ids.iter().filter_map(|id| places.get(id));
        found.extend(ours.map(|place| (*place, last)));
        Ok(true)
    })?;
    Ok(found)
}

/// The places of those who were taken out after that row of the audit.
pub(super) fn taken_since(
    db: &Connection,
    group: i64,
    number: i64,
    places: &HashMap<String, usize>,
) -> Result<HashSet<usize>> {
    let mut found = HashSet::new();
    since(db, group, number, |last, ids| {
        if last.ended.is_some() {
            found.extend(ids.iter().filter_map(|id| places.get(id)));
        }
        Ok(true)
    })?;
    Ok(found)
}

/// Keeps what is read of the history of a group, a portion at a time; false when
/// only a few changes are left that are not kept.
pub(super) fn keep(db: &Connection, group: i64) -> Result<bool> {
    if unkept(db, group)? < FEW {
        return Ok(false);
    }
    let after = kept_upto(db, group)?;
    let mut put = db.prepare_cached(
        "INSERT INTO said (group_key, user_id, number, ended) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET number = excluded.number, ended = excluded.ended",
    )?;
    let (mut upto, mut written) = (after, 0);
    since(db, group, after, |last, ids| {
        if last.number != upto && written >= PORTION {
            return Ok(false);
        }
        upto = last.number;
        for id in ids.iter().filter_map(|id| ResourceId::parse(id)) {
            put.execute(params![group, id.as_bytes(), last.number, last.ended])?;
            written += 1;
        }
        Ok(true)
    })?;
    db.prepare_cached("INSERT OR REPLACE INTO said_upto (group_key, number) VALUES (?1, ?2)")?
        .execute([group, upto])?;
    Ok(true)
}

/// How many changes of a group are read whenever it is asked; not counted beyond
/// those that are to be kept first.
pub(super) fn unkept(db: &Connection, group: i64) -> Result<i64> {
    Ok(db
        .prepare_cached(
            "SELECT count(*) FROM (
                 SELECT 1 FROM audit
                 WHERE resource = (SELECT id FROM groups WHERE key = ?1)
                   AND action = 'change_group' AND number > ?2 LIMIT ?3)",
        )?
        .query_row(params![group, kept_upto(db, group)?, FEW], |row| row.get(0))?)
}

fn kept_upto(db: &Connection, group: i64) -> Result<i64> {
    let upto = db
        .prepare_cached("SELECT number FROM said_upto WHERE group_key = ?1")?
        .query_row([group], |row| row.get(0));
    Ok(upto.optional()?.unwrap_or(0))
}

/// Who was added by each change after one, and who was taken out, in order, until
/// `tell` has heard enough.
fn since(
    db: &Connection,
    group: i64,
    after: i64,
    mut tell: impl FnMut(Last, &[String]) -> Result<bool>,
) -> Result<()> {
    let mut select = db.prepare_cached(
        "SELECT number, at, detail FROM audit
         WHERE resource = (SELECT id FROM groups WHERE key = ?1) AND action = 'change_group'
           AND number > ?2
         ORDER BY number",
    )?;
    let mut rows = select.query([group, after])?;
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        let at = row.get(1)?;
        let detail = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let change: Change = serde_json::from_str(detail)?;
        for (ids, ended) in [(change.added, None), (change.removed, Some(at))] {
            if !tell(Last { number, ended }, &ids)? {
                return Ok(());
            }
        }
    }
    Ok(())
}
