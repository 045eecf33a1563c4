//! What is there although it was deleted here: somebody in the application has made
//! it anew, or it never went, whatever was said. Which, nobody knows here. What an
//! import finds of it is shown, as all is that is found, and told until somebody asks
//! for it; nothing is taken away because of that, and nobody is given anything
//! (reliability: H-15, I-13, I-26).
//!
//! An account is known again by the application's id, and where there is none by its
//! address until an import has not shown it. A group is known by its name there. What
//! another connection of the tenant manages is there by that one's doing.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::ConnectionKey,
    scim::resource::ResourceId,
    store::{Again, ImportMark, LeftAlone, Millis, Returned, Returning, StoreError},
};

use super::{Sqlite, fault::Result, left_alone, owners};

/// What became here of something that a reading shows and that nobody has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Unknown,
    /// It went after the reading began, which tells nothing of what came then.
    Outdated,
    Deleted(Millis),
}

/// Of the groups of one name that were there and were deleted here: the last one.
/// Where what is here follows what is there (`?3`), others are only gone.
const DELETED: &str = "SELECT id, tombstone, turned, ours FROM groups
     WHERE connection = ?1 AND upstream_name = ?2 AND tombstone IS NOT NULL
       AND existence = 0 AND made = 1 AND (ours = 1 OR NOT ?3)
     ORDER BY tombstone DESC, key DESC LIMIT 1";

struct Deleted {
    id: ResourceId,
    at: Millis,
    turned: i64,
    /// Otherwise it is only shown no more, as it went by something else.
    ours: bool,
}

fn deleted(db: &Connection, connection: i64, name: &str, mirror: bool) -> Result<Option<Deleted>> {
    let row = db
        .prepare_cached(DELETED)?
        .query_row(params![connection, name, mirror], |row| {
            Ok(Deleted {
                id: ResourceId::from_bytes(row.get(0)?),
                at: row.get(1)?,
                turned: row.get(2)?,
                ours: row.get(3)?,
            })
        });
    Ok(row.optional()?)
}

/// Whether something was done about a deleted one of the name after a reading began,
/// which may show it from before that: also one of which nobody knew whether it was made.
fn went_since(db: &Connection, connection: i64, name: &str, since: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM groups WHERE connection = ?1 AND upstream_name = ?2
               AND tombstone IS NOT NULL AND existence = 0 AND ours = 1 AND others IN (0, 3)
               AND turned > ?3",
        )?
        .exists(params![connection, name, since])?)
}

pub(super) fn group(
    db: &Connection,
    (connection, mirror): (i64, bool),
    name: &str,
    since: i64,
) -> Result<Before> {
    if went_since(db, connection, name, since)? {
        return Ok(Before::Outdated);
    }
    let Some(deleted) = deleted(db, connection, name, mirror)? else {
        return Ok(Before::Unknown);
    };
    if deleted.turned > since {
        return Ok(Before::Outdated);
    }
    if !deleted.ours {
        return Ok(Before::Unknown);
    }
    let others = match site(db, connection)? {
        Some(site) => owners::is_others(db, &site, connection, name)?,
        None => false,
    };
    Ok(if others {
        Before::Unknown
    } else {
        Before::Deleted(deleted.at)
    })
}

/// An account that is in use and no live user's.
pub(super) fn account(
    db: &Connection,
    connection: i64,
    (account, id): (&str, Option<&str>),
    since: i64,
) -> Result<Before> {
    let left: Option<(i64, Option<String>, Option<Millis>)> = db
        .prepare_cached(
            "SELECT d.number, d.upstream_id,
                 iif(d.stays = 0 AND u.ended IS NOT NULL, u.tombstone, NULL)
             FROM departed d LEFT JOIN users u ON u.key = d.user_key
             WHERE d.connection = ?1 AND d.account_key = ?2",
        )?
        .query_row(params![connection, account], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let mut at = None;
    if let Some((number, had, ended)) = left {
        if number > since {
            return Ok(Before::Outdated);
        }
        let same = had.is_none() || id.is_none() || had.as_deref() == id;
        at = ended.filter(|_| same);
    }
    if at.is_none() {
        at = db
            .prepare_cached(
                "SELECT max(tombstone) FROM users
                 WHERE connection = ?1 AND had = ?2 AND had IS NOT NULL",
            )?
            .query_row(params![connection, id], |row| row.get(0))?;
    }
    let Some(at) = at else {
        return Ok(Before::Unknown);
    };
    let others = match site(db, connection)? {
        Some(site) => owners::is_others_account(db, &site, connection, account)?,
        None => false,
    };
    Ok(if others {
        Before::Unknown
    } else {
        Before::Deleted(at)
    })
}

fn site(db: &Connection, connection: i64) -> Result<Option<String>> {
    Ok(db
        .prepare_cached("SELECT site FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))?)
}

/// Whether all that there is of accounts is their memberships, in groups of families:
/// what is left or new of them is told as that.
pub(super) fn by_members(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM groups WHERE connection = ?1 AND family IS NOT NULL")?
        .exists([connection])?)
}

/// One that was deleted at that time was found again, with this row.
pub(super) fn note_group(db: &Connection, key: i64, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE groups SET back = ?2 WHERE key = ?1")?
        .execute([key, at])?;
    Ok(())
}

pub(super) fn note_user(db: &Connection, key: i64, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE users SET back = ?2 WHERE key = ?1")?
        .execute([key, at])?;
    Ok(())
}

pub(super) fn is_group(db: &Connection, key: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM groups WHERE key = ?1 AND back IS NOT NULL")?
        .exists([key])?)
}

pub(super) fn is_user(db: &Connection, key: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM users WHERE key = ?1 AND back IS NOT NULL")?
        .exists([key])?)
}

/// Somebody asks for it, so that it is nobody's gift.
pub(super) fn is_asked_for_group(db: &Connection, key: i64) -> Result<()> {
    db.prepare_cached("UPDATE groups SET back = NULL WHERE key = ?1 AND back IS NOT NULL")?
        .execute([key])?;
    Ok(())
}

pub(super) fn is_asked_for_user(db: &Connection, key: i64) -> Result<()> {
    db.prepare_cached("UPDATE users SET back = NULL WHERE key = ?1 AND back IS NOT NULL")?
        .execute([key])?;
    Ok(())
}

/// See [`Returning::groups_again`].
fn groups_among(
    db: &Connection,
    connection: i64,
    names: &[String],
    (since, mirror): (i64, bool),
) -> Result<Vec<Again>> {
    let mut kept = db.prepare_cached(
        "SELECT id, back FROM groups WHERE connection = ?1 AND upstream_name = ?2
         AND (tombstone IS NULL OR existence <> 0)",
    )?;
    let mut again = Vec::new();
    for name in names {
        let here: Option<(ResourceId, Option<Millis>)> = kept
            .query_row(params![connection, name], |row| {
                Ok((ResourceId::from_bytes(row.get(0)?), row.get(1)?))
            })
            .optional()?;
        let found = match here {
            Some((id, back)) => back.map(|at| (id, at, true)),
            None => match group(db, (connection, mirror), name, since)? {
                Before::Deleted(at) => {
                    deleted(db, connection, name, mirror)?.map(|it| (it.id, at, false))
                }
                Before::Unknown | Before::Outdated => None,
            },
        };
        again.extend(found.map(|(id, removed, shown)| Again {
            id: Some(id.to_string()),
            name: name.clone(),
            removed,
            shown,
        }));
    }
    Ok(again)
}

/// See [`Returning::users_again`].
fn users_among(
    db: &Connection,
    connection: i64,
    accounts: &[(String, Option<String>)],
    since: i64,
) -> Result<Vec<Again>> {
    let mut here = db.prepare_cached(
        "SELECT id, back FROM users
         WHERE connection = ?1 AND account_key = ?2 AND account_key IS NOT NULL
           AND tombstone IS NULL
         UNION ALL
         SELECT id, back FROM users
         WHERE connection = ?1 AND upstream_id = ?3 AND upstream_id IS NOT NULL
           AND tombstone IS NULL",
    )?;
    let mut leaves = db.prepare_cached(
        "SELECT 1 FROM users WHERE connection = ?1 AND account_key = ?2
         AND account_key IS NOT NULL AND tombstone IS NOT NULL",
    )?;
    let mut again = Vec::new();
    for (key, id) in accounts {
        let row: Option<(ResourceId, Option<Millis>)> = here
            .query_row(params![connection, key, id], |row| {
                Ok((ResourceId::from_bytes(row.get(0)?), row.get(1)?))
            })
            .optional()?;
        let name = || id.clone().unwrap_or_else(|| "without an id".to_owned());
        match row {
            Some((user, Some(removed))) => again.push(Again {
                id: Some(user.to_string()),
                name: name(),
                removed,
                shown: true,
            }),
            Some((_, None)) => {}
            None if leaves.exists(params![connection, key])? => {}
            None => {
                if let Before::Deleted(removed) =
                    account(db, connection, (key, id.as_deref()), since)?
                {
                    again.push(Again {
                        id: None,
                        name: name(),
                        removed,
                        shown: false,
                    });
                }
            }
        }
    }
    Ok(again)
}

#[async_trait]
impl Returning for Sqlite {
    async fn groups_again(
        &self,
        c: ConnectionKey,
        names: Vec<String>,
        since: ImportMark,
        mirror: bool,
    ) -> std::result::Result<Vec<Again>, StoreError> {
        let read = move |db: &Connection| groups_among(db, c.0, &names, (since.0, mirror));
        Ok(self.readers.read_apart(read).await?)
    }

    async fn shown_again(&self, c: ConnectionKey) -> std::result::Result<Returned, StoreError> {
        let read = move |db: &Connection| {
            let select = "SELECT
                 (SELECT count(*) FROM users WHERE connection = ?1 AND back IS NOT NULL
                    AND tombstone IS NULL AND existence = 1),
                 (SELECT count(*) FROM groups WHERE connection = ?1 AND back IS NOT NULL
                    AND tombstone IS NULL AND existence = 1)";
            let found = db.prepare_cached(select)?.query_row([c.0], |row| {
                Ok(Returned {
                    users: row.get::<_, i64>(0)?.unsigned_abs(),
                    groups: row.get::<_, i64>(1)?.unsigned_abs(),
                    ..Returned::default()
                })
            });
            Ok(found?)
        };
        Ok(self.readers.read(read)?)
    }

    async fn left_alone(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> std::result::Result<Vec<LeftAlone>, StoreError> {
        let read = move |db: &Connection| left_alone::all(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn left_alone_before(
        &self,
        c: ConnectionKey,
        since: ImportMark,
    ) -> std::result::Result<Vec<String>, StoreError> {
        let read = move |db: &Connection| left_alone::before(db, c.0, since.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn forget_left_alone(
        &self,
        c: ConnectionKey,
        name: String,
        since: ImportMark,
    ) -> std::result::Result<(), StoreError> {
        let write = move |db: &Connection| left_alone::forget_gone(db, c.0, &name, since.0);
        Ok(self.writer.write(write).await?)
    }

    async fn users_again(
        &self,
        c: ConnectionKey,
        accounts: Vec<(String, Option<String>)>,
        since: ImportMark,
    ) -> std::result::Result<Vec<Again>, StoreError> {
        let read = move |db: &Connection| users_among(db, c.0, &accounts, since.0);
        Ok(self.readers.read_apart(read).await?)
    }
}
