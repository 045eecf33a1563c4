//! Who is a member in the application without being one here, because the
//! membership was taken away here, and was given back or kept there. Nothing is kept
//! of a membership that is gone but the audit, which is kept for ever, and the
//! memberships that ended with a deleted user (reliability: H-15).
//!
//! An account outlives the user it had here: what was taken away from whoever was
//! deleted was taken away from whoever was made anew with the account.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{ConnectionKey, GroupKey},
    scim::resource::ResourceId,
    store::{Millis, StoreError, Taken, Whose},
};

use super::{
    Sqlite, audit,
    fault::Result,
    found,
    newcomers::Newcomer,
    said::{self, Last},
    users::User,
};

/// Users who are members unasked, by their places.
#[derive(Default)]
struct People {
    /// By their ids, and by those of whoever had the account before.
    places: HashMap<String, usize>,
    last: HashMap<usize, Last>,
    /// Who had the account of whom before.
    formers: Vec<(i64, usize)>,
}

/// See [`Taken::whose`].
fn whose(
    db: &Connection,
    connection: i64,
    group: i64,
    members: &[(Option<String>, Option<String>)],
) -> Result<Vec<Whose>> {
    let mut found = Vec::with_capacity(members.len());
    let mut people = People::default();
    for (place, (id, account)) in members.iter().enumerate() {
        let (id, account) = (id.as_deref(), account.as_deref());
        let Some((key, user)) = found::member(db, connection, id, account)? else {
            let at = deleted(db, connection, id, account)?;
            found.push(at.map_or(Whose::Nobodys, Whose::Deleted));
            continue;
        };
        let user = ResourceId::from_bytes(user);
        people.know(db, connection, (key, user), place)?;
        found.push(Whose::User {
            id: user,
            removed: None,
        });
    }
    people.read_changes(db, group)?;
    people.read_left(db, group)?;
    for (place, last) in people.last {
        if let Some(Whose::User { removed, .. }) = found.get_mut(place) {
            *removed = last.ended;
        }
    }
    Ok(found)
}

/// Of users who are shown in a group and are no members of it, those whose membership
/// was taken away here.
pub(super) fn taken_out(
    db: &Connection,
    (connection, group): (i64, i64),
    users: &[Newcomer],
) -> Result<HashSet<i64>> {
    let mut people = People::default();
    for (place, (key, id)) in users.iter().enumerate() {
        people.know(db, connection, (*key, ResourceId::from_bytes(*id)), place)?;
    }
    people.read_changes(db, group)?;
    people.read_left(db, group)?;
    let ended = people
        .last
        .into_iter()
        .filter(|(_, last)| last.ended.is_some());
    Ok(ended
        .filter_map(|(place, _)| users.get(place).map(|user| user.0))
        .collect())
}

/// Of users who are shown in a group, those whose membership was taken away here after
/// that row of the audit, whatever was asked for since.
pub(super) fn taken_since(
    db: &Connection,
    (connection, group): (i64, i64),
    users: &[Newcomer],
    since: i64,
) -> Result<HashSet<i64>> {
    let mut people = People::default();
    for (place, (key, id)) in users.iter().enumerate() {
        people.know(db, connection, (*key, ResourceId::from_bytes(*id)), place)?;
    }
    let mut taken = said::taken_since(db, group, since, &people.places)?;
    people.read_left(db, group)?;
    let left = people.last.into_iter().filter(|it| it.1.number > since);
    taken.extend(left.map(|(place, _)| place));
    let keys = taken.into_iter().filter_map(|place| users.get(place));
    Ok(keys.map(|user| user.0).collect())
}

impl People {
    fn know(
        &mut self,
        db: &Connection,
        connection: i64,
        (key, id): (i64, ResourceId),
        place: usize,
    ) -> Result<()> {
        self.places.insert(id.to_string(), place);
        for (former, id) in formers(db, connection, key)? {
            self.places.insert(id.to_string(), place);
            self.formers.push((former, place));
        }
        Ok(())
    }

    fn read_changes(&mut self, db: &Connection, group: i64) -> Result<()> {
        self.last = said::last(db, group, &self.places)?;
        Ok(())
    }

    /// What ended with somebody who had the account before.
    fn read_left(&mut self, db: &Connection, group: i64) -> Result<()> {
        let mut select = db.prepare_cached(
            "SELECT at, number FROM left_with WHERE group_key = ?1 AND user_key = ?2",
        )?;
        for (former, place) in &self.formers {
            let row = select.query_row([group, *former], |row| Ok((row.get(0)?, row.get(1)?)));
            let Some((at, number)) = row.optional()? else {
                continue;
            };
            let before = self.last.get(place);
            if before.is_none_or(|before| before.number <= number) {
                let ended = Some(at);
                self.last.insert(*place, Last { number, ended });
            }
        }
        Ok(())
    }
}

/// When the last user was deleted who had an account that nobody has now.
fn deleted(
    db: &Connection,
    connection: i64,
    id: Option<&str>,
    account: Option<&str>,
) -> Result<Option<Millis>> {
    let account = account.map(str::to_lowercase);
    Ok(db
        .prepare_cached(
            "SELECT max(at) FROM (
                 SELECT u.tombstone AS at FROM users u
                 WHERE u.connection = ?1 AND u.account_key = ?2 AND u.account_key IS NOT NULL
                   AND u.tombstone IS NOT NULL
                   AND (u.upstream_id = ?3 OR u.upstream_id IS NULL OR ?3 IS NULL)
                 UNION ALL
                 SELECT a.at FROM departed d JOIN audit a ON a.number = d.number
                 WHERE d.connection = ?1 AND d.account_key = ?2
                   AND (d.upstream_id = ?3 OR d.upstream_id IS NULL OR ?3 IS NULL)
                 UNION ALL
                 SELECT a.at FROM departed d JOIN audit a ON a.number = d.number
                 WHERE d.connection = ?1 AND d.upstream_id = ?3 AND d.upstream_id IS NOT NULL)",
        )?
        .query_row(params![connection, account, id], |row| row.get(0))?)
}

/// Deleted users who are known to have had this account, by its id, and by its address
/// where one of the two ids is not known: another account may have the address by now.
const HAD: &str = "SELECT key FROM users
     WHERE connection = ?1 AND account_key = ?2 AND account_key IS NOT NULL
       AND tombstone IS NOT NULL AND (upstream_id = ?3 OR upstream_id IS NULL OR ?3 IS NULL)
     UNION
     SELECT user_key FROM departed
     WHERE connection = ?1 AND account_key = ?2 AND user_key IS NOT NULL
       AND (upstream_id = ?3 OR upstream_id IS NULL OR ?3 IS NULL)
     UNION
     SELECT user_key FROM departed
     WHERE connection = ?1 AND upstream_id = ?3 AND upstream_id IS NOT NULL
       AND user_key IS NOT NULL";

/// Everybody who was deleted and had the account of a user before, and who had it
/// before them.
fn formers(db: &Connection, connection: i64, user: i64) -> Result<Vec<(i64, ResourceId)>> {
    let account: (Option<String>, Option<String>) = db
        .prepare_cached("SELECT account_key, upstream_id FROM users WHERE key = ?1")?
        .query_row([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut keys: Vec<i64> = db
        .prepare_cached(HAD)?
        .query_map(params![connection, account.0, account.1], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    keys.retain(|key| *key != user);
    let mut direct = db.prepare_cached("SELECT former FROM formers WHERE user_key = ?1")?;
    let mut asked = vec![user];
    asked.extend(&keys);
    while let Some(one) = asked.pop() {
        let before = direct.query_map([one], |row| row.get(0))?;
        for before in before.collect::<rusqlite::Result<Vec<i64>>>()? {
            if before != user && !keys.contains(&before) {
                keys.push(before);
                asked.push(before);
            }
        }
    }
    // Who was noted before the account's id was known may have had another one.
    let mut select = db.prepare_cached(
        "SELECT id FROM users u WHERE key = ?1 AND (?2 IS NULL OR coalesce(upstream_id, had, (
             SELECT upstream_id FROM departed WHERE user_key = u.key), ?2) = ?2)",
    )?;
    let mut formers = Vec::with_capacity(keys.len());
    for key in keys {
        let id = select
            .query_row(params![key, account.1], |row| row.get(0))
            .optional()?;
        formers.extend(id.map(|id| (key, ResourceId::from_bytes(id))));
    }
    Ok(formers)
}

/// Somebody is here anew with the account of whoever was deleted, which is told by what
/// is kept of that one only for a while.
pub(super) fn note_formers(db: &Connection, key: i64, user: &User) -> Result<()> {
    let insert =
        format!("INSERT OR IGNORE INTO formers (user_key, former) SELECT ?4, * FROM ({HAD})");
    let of = params![user.connection, user.account_key, user.upstream_id, key];
    db.prepare_cached(&insert)?.execute(of)?;
    Ok(())
}

/// Whether one of those who had the account before had it ended, as the application
/// has confirmed.
pub(super) fn was_ended(db: &Connection, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "WITH RECURSIVE had (key) AS (
                 SELECT former FROM formers WHERE user_key = ?1
                 UNION SELECT f.former FROM had JOIN formers f ON f.user_key = had.key)
             SELECT 1 FROM had JOIN users u ON u.key = had.key WHERE u.ended IS NOT NULL",
        )?
        .exists([user])?)
}

/// The memberships that are about to end because their user is deleted.
pub(super) fn note_left(db: &Connection, user: &User, at: Millis) -> Result<()> {
    if user.never_there() {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT OR REPLACE INTO left_with (group_key, user_key, at, number)
         SELECT m.group_key, m.user_key, ?2, ?3
         FROM memberships m JOIN groups g ON g.key = m.group_key
         WHERE m.user_key = ?1 AND m.desired = 1 AND g.tombstone IS NULL
           AND g.read_only IS NULL",
    )?
    .execute(params![user.key, at, audit::latest(db)?])?;
    Ok(())
}

#[async_trait]
impl Taken for Sqlite {
    async fn whose(
        &self,
        c: ConnectionKey,
        group: GroupKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> std::result::Result<Vec<Whose>, StoreError> {
        while self.writer.write(move |db| said::keep(db, group.0)).await? {}
        let read = move |db: &Connection| whose(db, c.0, group.0, &members);
        Ok(self.readers.read_apart(read).await?)
    }
}
