//! Accounts that have an address in common: noted as a reading shows them, and
//! forgotten when the end of their user has reached them. An end is told of all
//! of them, but for those that are another user's, and of none once somebody
//! else here has the address.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{ConnectionKey, Existence, Principal, UserKey},
    store::{Addresses, Lane, LeftOver, Millis, ShownAccount, StoreError, StoredUser, Twins},
};

use super::{
    Sqlite,
    fault::Result,
    found, leaving, seats,
    users::{self, User},
};

/// Of a live user before a deleted one, whether it must have nothing.
const BEARER: &str = "SELECT key, wants FROM users
     WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NULL AND account_key IS NOT NULL
     UNION ALL
     SELECT key, 0 FROM users
     WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NOT NULL
       AND account_key IS NOT NULL";

fn left_over(db: &Connection, connection: i64, shown: &[ShownAccount]) -> Result<Vec<LeftOver>> {
    let mut bearer = db.prepare_cached(BEARER)?;
    let mut noted = db.prepare_cached(
        "SELECT 1 FROM twins WHERE connection = ?1 AND account = ?2 AND upstream_id = ?3",
    )?;
    let mut left = Vec::new();
    for one in shown {
        let found: Option<(i64, bool)> = bearer
            .query_row(params![connection, one.account], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let said_of = one.said_of.map(|id| users::live(db, connection, id));
        let said_of = said_of.transpose()?.flatten();
        let is_theirs = said_of.as_ref().is_some_and(|user| user.account.active);
        let user = match found {
            Some((_, true)) => continue,
            // Whoever has left, it was handed on.
            _ if is_theirs => continue,
            Some((key, false)) => users::by_key(db, key)?,
            None if said_of.is_some() => said_of,
            None => {
                left.extend(left_of_departed(db, connection, one)?);
                continue;
            }
        };
        let Some(user) = user else { continue };
        let account = user.account_key.clone().unwrap_or_default();
        let is_noted = noted.exists(params![connection, account, one.upstream_id])?;
        let is_linked = user.upstream_id.as_ref() == Some(&one.upstream_id);
        if is_linked && !is_noted {
            continue;
        }
        left.push(LeftOver {
            user: UserKey(user.key),
            known: (is_noted || account != one.account) && !is_linked,
            account,
            shown: one.account.clone(),
            upstream_id: one.upstream_id.clone(),
            ours: is_ours(db, &user, one)?,
            settled: is_settled(&user),
            linked: user.upstream_id,
        });
    }
    Ok(left)
}

/// Another account with the address of who was deleted. The one that was ended is
/// found again, as a new user.
fn left_of_departed(
    db: &Connection,
    connection: i64,
    one: &ShownAccount,
) -> Result<Option<LeftOver>> {
    let Some(user) = leaving::departed(db, connection, &one.account)? else {
        return Ok(None);
    };
    let ours = is_ours(db, &user, one)? && user.upstream_id.as_ref() != Some(&one.upstream_id);
    Ok(ours.then(|| LeftOver {
        user: UserKey(user.key),
        account: one.account.clone(),
        shown: one.account.clone(),
        upstream_id: one.upstream_id.clone(),
        known: true,
        ours,
        settled: true,
        linked: user.upstream_id,
    }))
}

fn is_ours(db: &Connection, user: &User, one: &ShownAccount) -> Result<bool> {
    if users::is_bound_elsewhere(db, UserKey(user.key), &one.upstream_id)? {
        return Ok(false);
    }
    Ok(!one.has.is_empty() && !seats::are_spared(db, user, &one.has)?)
}

fn is_settled(user: &User) -> bool {
    user.tombstone.is_none()
        && user.observed.existence == Existence::Absent
        && user.unsure == 0
        // Of who was never linked it was refused because nothing was read yet.
        && (user.refused.is_none() || user.never_there())
}

fn note(db: &Connection, connection: i64, twins: &[(String, String)]) -> Result<()> {
    db.prepare_cached("DELETE FROM twins WHERE connection = ?1")?
        .execute([connection])?;
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO twins (connection, account, upstream_id) VALUES (?1, ?2, ?3)",
    )?;
    for (account, upstream_id) in twins {
        insert.execute(params![connection, account, upstream_id])?;
    }
    Ok(())
}

fn noted(db: &Connection, connection: i64) -> Result<Vec<(String, String)>> {
    let mut select = db.prepare_cached(
        "SELECT account, upstream_id FROM twins WHERE connection = ?1 ORDER BY account, upstream_id",
    )?;
    let rows = select.query_map([connection], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn twins(db: &Connection, connection: i64, most: usize) -> Result<Vec<Twins>> {
    let mut by_address: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (account, upstream_id) in noted(db, connection)? {
        by_address.entry(account).or_default().push(upstream_id);
    }
    let mut told = Vec::with_capacity(by_address.len());
    for (address, accounts) in by_address {
        let user = user_of(db, connection, &address, &accounts)?;
        told.push(Twins {
            user: user.as_ref().map(|user| user.id),
            ended: user.is_some_and(|user| user.tombstone.is_some() || !user.account.active),
            accounts,
        });
    }
    told.sort_by_key(|it| it.user.is_none());
    told.truncate(most);
    Ok(told)
}

/// Who must have nothing, and is told to have something by an account of their
/// address.
pub(super) fn left_to_leavers(db: &Connection, connection: i64) -> Result<Vec<UserKey>> {
    let mut by_address: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (account, upstream_id) in noted(db, connection)? {
        by_address.entry(account).or_default().push(upstream_id);
    }
    let mut leavers = Vec::new();
    for (address, accounts) in by_address {
        let user = user_of(db, connection, &address, &accounts)?;
        let leaver = user.filter(|user| user.tombstone.is_some() || !user.account.active);
        leavers.extend(leaver.map(|user| UserKey(user.key)));
    }
    Ok(leavers)
}

fn user_of(
    db: &Connection,
    connection: i64,
    address: &str,
    accounts: &[String],
) -> Result<Option<User>> {
    if let Some(user) = found::by_account(db, connection, address)? {
        return Ok(Some(user));
    }
    if let Some(user) = leaving::departed(db, connection, address)? {
        return Ok(Some(user));
    }
    for id in accounts {
        if let Some(user) = found::by_id(db, connection, Some(id))? {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// The accounts that the end of a user is to reach beside the linked one.
pub(super) fn others(db: &Connection, user: &User) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(
        "SELECT t.upstream_id FROM twins t
         WHERE t.connection = ?1 AND t.account = ?2 AND t.upstream_id IS NOT ?3
           AND NOT EXISTS (
               SELECT 1 FROM users o
               WHERE o.connection = ?1 AND o.upstream_id = t.upstream_id AND o.tombstone IS NULL
                 AND o.upstream_id IS NOT NULL AND o.key <> ?4)
           AND NOT EXISTS (
               SELECT 1 FROM users o
               WHERE o.connection = ?1 AND o.account_key = ?2 AND o.tombstone IS NULL
                 AND o.account_key IS NOT NULL AND o.key <> ?4)",
    )?;
    let of = params![
        user.connection,
        user.account_key,
        user.upstream_id,
        user.key
    ];
    let ids = select.query_map(of, |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

fn linked_among(db: &Connection, connection: i64, ids: Vec<String>) -> Result<HashSet<String>> {
    let mut linked = HashSet::new();
    for id in ids {
        if found::by_id(db, connection, Some(&id))?.is_some() {
            linked.insert(id);
        }
    }
    Ok(linked)
}

fn departed_among(
    db: &Connection,
    connection: i64,
    addresses: Vec<String>,
) -> Result<HashSet<String>> {
    let mut departed = HashSet::new();
    for address in addresses {
        if leaving::departed(db, connection, &address)?.is_some() {
            departed.insert(address);
        }
    }
    Ok(departed)
}

/// Users who must have nothing, and are shown to have an account of which nothing
/// was known.
fn unknown_among(db: &Connection, connection: i64, accounts: &[String]) -> Result<Vec<i64>> {
    let mut select = db.prepare_cached(
        "SELECT key FROM users
         WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NULL
           AND account_key IS NOT NULL AND wants = 0 AND existence = 0 AND deactivated = 0
           AND unsure = 0 AND refused IS NULL",
    )?;
    let mut unknown = Vec::new();
    for account in accounts {
        let key = select.query_row(params![connection, account], |row| row.get::<_, i64>(0));
        unknown.extend(key.optional()?);
    }
    Ok(unknown)
}

/// Has their accounts looked for: a list alone ends nothing.
fn seek(db: &Connection, keys: &[i64]) -> Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for key in keys {
        if let Some(mut user) = users::by_key(db, *key)?
            && user.refused.is_none()
            && user.seek(users::UNJUDGED)
        {
            users::save(db, &user)?;
            lanes.push(Lane::User(UserKey(user.key)));
        }
    }
    Ok(lanes)
}

/// An end has reached them.
pub(super) fn forget(db: &Connection, connection: i64, ended: &Principal) -> Result<()> {
    let mut delete = db.prepare_cached(
        "DELETE FROM twins WHERE connection = ?1 AND account = ?2 AND upstream_id = ?3",
    )?;
    for id in ended.twins.iter().chain(&ended.upstream_id) {
        delete.execute(params![connection, ended.account, id])?;
    }
    Ok(())
}

/// An account by another address is asked for from now on.
pub(super) fn note_moved(db: &Connection, user: i64, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE users SET addressed = ?2 WHERE key = ?1")?
        .execute([user, at])?;
    Ok(())
}

/// Since when the account of a user is asked for by its address.
pub(super) fn asked_since(db: &Connection, user: &User) -> Result<Millis> {
    let moved: Option<Millis> = db
        .prepare_cached("SELECT addressed FROM users WHERE key = ?1")?
        .query_row([user.key], |row| row.get(0))?;
    Ok(moved.unwrap_or(user.created))
}

/// Another address is said of a user than the account has.
pub(super) fn note_otherwise(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached("UPDATE users SET said_otherwise = 1 WHERE key = ?1 AND said_otherwise = 0")?
        .execute([user])?;
    Ok(())
}

fn said_otherwise(db: &Connection, connection: i64, most: usize) -> Result<Vec<StoredUser>> {
    let keys = db
        .prepare_cached(
            "SELECT key FROM users
             WHERE connection = ?1 AND said_otherwise = 1 AND tombstone IS NULL
             ORDER BY modified DESC LIMIT ?2",
        )?
        .query_map(
            params![connection, i64::try_from(most).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.extend(
            users::by_key(db, key)?
                .map(|user| user.stored())
                .transpose()?,
        );
    }
    Ok(found)
}

#[async_trait]
impl Addresses for Sqlite {
    async fn said_otherwise(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> std::result::Result<Vec<StoredUser>, StoreError> {
        let read = move |db: &Connection| said_otherwise(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn left_over(
        &self,
        c: ConnectionKey,
        shown: Vec<ShownAccount>,
    ) -> std::result::Result<Vec<LeftOver>, StoreError> {
        let read = move |db: &Connection| left_over(db, c.0, &shown);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn linked_among(
        &self,
        c: ConnectionKey,
        ids: Vec<String>,
    ) -> std::result::Result<HashSet<String>, StoreError> {
        let read = move |db: &Connection| linked_among(db, c.0, ids);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn departed_among(
        &self,
        c: ConnectionKey,
        addresses: Vec<String>,
    ) -> std::result::Result<HashSet<String>, StoreError> {
        let read = move |db: &Connection| departed_among(db, c.0, addresses);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn seek_among(
        &self,
        c: ConnectionKey,
        accounts: Vec<String>,
    ) -> std::result::Result<Vec<Lane>, StoreError> {
        let read = move |db: &Connection| unknown_among(db, c.0, &accounts);
        let unknown = self.readers.read_apart(read).await?;
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.writer.write(move |db| seek(db, &unknown)).await?)
    }

    async fn note_twins(
        &self,
        c: ConnectionKey,
        mut twins: Vec<(String, String)>,
    ) -> std::result::Result<(), StoreError> {
        twins.sort_unstable();
        twins.dedup();
        if self.readers.read_apart(move |db| noted(db, c.0)).await? == twins {
            return Ok(());
        }
        Ok(self.writer.write(move |db| note(db, c.0, &twins)).await?)
    }

    async fn twins(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> std::result::Result<Vec<Twins>, StoreError> {
        let read = move |db: &Connection| twins(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }
}
