//! See [`Keys`]: while it is open whose a key is, no lane is handed anything out.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    store::{Actor, Keyed, Keys, NewKey, StoreError, Why},
};

use super::{
    Sqlite, audit,
    fault::Result,
    naming,
    owners::{self, Kind},
    row::id_at,
    users,
};

/// Whether it is open, or nobody has confirmed yet what an import has told of it.
pub(super) fn are_open(db: &Connection, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM connections WHERE key = ?1 AND recovery = ?2")?
        .exists(params![connection, Why::OtherKeys.as_str()])?)
}

/// Whether it is of another connection to the same application.
pub(super) fn are_open_elsewhere(db: &Connection, site: &str, connection: i64) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM connections WHERE site = ?1 AND key <> ?2 AND recovery = ?3",
        )?
        .exists(params![site, connection, Why::OtherKeys.as_str()])?)
}

fn fingerprint(db: &Connection, connection: i64) -> Result<Option<String>> {
    let found = db
        .prepare_cached("SELECT fingerprint FROM connections WHERE key = ?1")?
        .query_row([connection], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

fn all(db: &Connection, connection: i64) -> Result<Vec<Keyed>> {
    let mut users = db.prepare_cached(
        "SELECT key, account_key, upstream_id, attributes, tombstone IS NOT NULL, existence <> 0 OR unsure > 0
         FROM users WHERE connection = ?1 AND account_key IS NOT NULL",
    )?;
    let users = users.query_map([connection], |row| {
        Ok(Keyed::User {
            user: UserKey(row.get(0)?),
            account: row.get(1)?,
            upstream_id: row.get(2)?,
            attributes: row.get(3)?,
            deleted: row.get(4)?,
            there: row.get(5)?,
        })
    })?;
    let mut groups = db.prepare_cached(
        "SELECT key, upstream_name, coalesce(attributes ->> '$.displayName', ''), existence <> 0
         FROM groups WHERE connection = ?1 AND (tombstone IS NULL OR existence <> 0)",
    )?;
    let groups = groups.query_map([connection], |row| {
        Ok(Keyed::Group {
            group: GroupKey(row.get(0)?),
            name: row.get(1)?,
            title: row.get(2)?,
            there: row.get(3)?,
        })
    })?;
    Ok(users.chain(groups).collect::<rusqlite::Result<_>>()?)
}

fn learn(
    db: &Connection,
    connection: i64,
    (fingerprint, keys): (&str, &[NewKey]),
    actor: &Actor,
) -> Result<()> {
    db.prepare_cached("UPDATE connections SET fingerprint = ?2 WHERE key = ?1")?
        .execute(params![connection, fingerprint])?;
    if keys.is_empty() {
        return Ok(());
    }
    owners::rename(db, connection, &renamed(db, keys)?)?;
    let mut no_account = db.prepare_cached("UPDATE users SET account_key = NULL WHERE key = ?1")?;
    let mut group_name =
        db.prepare_cached("UPDATE groups SET upstream_name = ?2 WHERE key = ?1")?;
    let mut group_id = db.prepare_cached("SELECT id FROM groups WHERE key = ?1")?;
    // One may have the key by now that was another's.
    for key in keys {
        match key {
            NewKey::User(user, ..) => {
                no_account.execute([user.0])?;
            }
            NewKey::Group(group, _) => {
                let id = group_id.query_row([group.0], |row| id_at(row, 0))?;
                group_name.execute(params![group.0, naming::nameless(id)])?;
            }
        }
    }
    for key in keys {
        match key {
            NewKey::User(user, account, id) => {
                if let Some(mut user) = users::by_key(db, user.0)? {
                    (user.account_key, user.upstream_id) = (account.clone(), id.clone());
                    users::save(db, &user)?;
                }
            }
            NewKey::Group(group, Some(name)) => {
                group_name.execute(params![group.0, name])?;
            }
            NewKey::Group(_, None) => {}
        }
    }
    db.prepare_cached("DELETE FROM departed WHERE connection = ?1")?
        .execute([connection])?;
    let detail = json!({ "keys": keys.len() });
    audit::record(db, connection, actor, "learn_keys", None, &detail)?;
    Ok(())
}

/// The former names, and those of now.
fn renamed(db: &Connection, keys: &[NewKey]) -> Result<Vec<(Kind, String, String)>> {
    let mut account = db.prepare_cached("SELECT account_key FROM users WHERE key = ?1")?;
    let mut group = db.prepare_cached("SELECT upstream_name FROM groups WHERE key = ?1")?;
    let mut names = Vec::new();
    for key in keys {
        let (kind, former, name) = match key {
            NewKey::User(user, Some(name), _) => {
                let former = account.query_row([user.0], |row| row.get(0));
                (Kind::Account, former.optional()?.flatten(), name)
            }
            NewKey::Group(key, Some(name)) => {
                let former = group.query_row([key.0], |row| row.get(0));
                (Kind::Group, former.optional()?, name)
            }
            NewKey::User(..) | NewKey::Group(..) => continue,
        };
        names.extend(former.map(|former: String| (kind, former, name.clone())));
    }
    Ok(names)
}

#[async_trait]
impl Keys for Sqlite {
    async fn fingerprint(
        &self,
        c: ConnectionKey,
    ) -> std::result::Result<Option<String>, StoreError> {
        Ok(self.readers.read(|db| fingerprint(db, c.0))?)
    }

    async fn keyed(&self, c: ConnectionKey) -> std::result::Result<Vec<Keyed>, StoreError> {
        Ok(self
            .readers
            .read_apart(move |db: &Connection| all(db, c.0))
            .await?)
    }

    async fn learn_keys(
        &self,
        c: ConnectionKey,
        fingerprint: String,
        keys: Vec<NewKey>,
        actor: Actor,
    ) -> std::result::Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| learn(db, c.0, (&fingerprint, &keys), &actor));
        Ok(write.await?)
    }
}
