//! Whose account it is that import found: by the application's id, which never
//! changes hands, before the address, which may.
//!
//! An account that has another address than before is the same one. An address
//! whose account had another id is believed to be made anew, unless that other
//! one is on the list too. No two users are of one account; where it cannot be
//! told, nothing is bound, and it is counted (reliability: ).

use std::{collections::HashSet, sync::Arc};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::{
    scim::{
        filter::fold_case,
        resource::{Attributes, ResourceId},
    },
    store::{Actor, FoundUser},
};

use super::{
    audit,
    fault::Result,
    import::{Import, in_savepoint},
    shown::Shown,
    users::{self, User},
};

/// The application's ids of all accounts that are imported together.
pub(super) type Listed = Arc<HashSet<String>>;

/// Whose an account is here.
pub(super) enum Whose {
    Users(Box<User>),
    /// A deleted user's, and it still is to be ended: it is not found again.
    Leavers,
    Nobodys,
    /// Another user has its address, or its address was another's and nobody
    /// knows whose it is.
    Unclear,
}

pub(super) fn whose(
    db: &Connection,
    (connection, account): (i64, &str),
    found: &FoundUser,
    listed: &Listed,
) -> Result<Whose> {
    let found_id = found.upstream_id.as_ref();
    if let Some(user) = by_id(db, connection, found_id)? {
        let same = user.account_key.as_deref() == Some(account);
        return Ok(if same {
            Whose::Users(Box::new(user))
        } else {
            Whose::Unclear
        });
    }
    let Some(user) = by_account(db, connection, account)? else {
        return Ok(Whose::Nobodys);
    };
    if user.tombstone.is_some() {
        return Ok(Whose::Leavers);
    }
    let other = user.upstream_id.as_ref().filter(|id| Some(*id) != found_id);
    Ok(if other.is_some_and(|id| listed.contains(id)) {
        Whose::Unclear
    } else {
        Whose::Users(Box::new(user))
    })
}

pub(super) fn by_id(db: &Connection, connection: i64, id: Option<&String>) -> Result<Option<User>> {
    let Some(id) = id else { return Ok(None) };
    let key = db
        .prepare_cached(
            "SELECT key FROM users
             WHERE connection = ?1 AND upstream_id = ?2 AND tombstone IS NULL
               AND upstream_id IS NOT NULL",
        )?
        .query_row(params![connection, id], |row| row.get(0))
        .optional()?;
    Ok(key.map(|key| users::by_key(db, key)).transpose()?.flatten())
}

/// A live user before a deleted one.
pub(super) fn by_account(db: &Connection, connection: i64, account: &str) -> Result<Option<User>> {
    let key = db
        .prepare_cached(
            "SELECT key FROM users WHERE connection = ?1 AND account_key = ?2
             AND tombstone IS NULL AND account_key IS NOT NULL
             UNION ALL
             SELECT key FROM users WHERE connection = ?1 AND account_key = ?2
             AND tombstone IS NOT NULL AND account_key IS NOT NULL",
        )?
        .query_row(params![connection, account], |row| row.get(0))
        .optional()?;
    Ok(key.map(|key| users::by_key(db, key)).transpose()?.flatten())
}

/// Has users follow their accounts, which have these addresses by now, before
/// anything else is learned: who has an address that was somebody else's must
/// not be taken for that one.
pub(super) fn follow(
    db: &Connection,
    accounts: &[(String, String)],
    import: &Import,
) -> Result<()> {
    let mut select = db.prepare_cached(
        "SELECT key FROM users
         WHERE connection = ?1 AND upstream_id = ?2 AND tombstone IS NULL
           AND upstream_id IS NOT NULL AND account_key <> ?3",
    )?;
    for (id, account) in accounts {
        let moved = select.query_row(params![import.connection, id, account], |row| row.get(0));
        let moved = moved.optional()?.map(|key| users::by_key(db, key));
        if let Some(user) = moved.transpose()?.flatten() {
            readdress(db, user, account, import)?;
        }
    }
    Ok(())
}

/// See [`crate::store::Store::follow`].
pub(super) fn follow_alone(
    db: &Connection,
    connection: i64,
    user: ResourceId,
    account: &(String, String),
    actor: &Actor,
) -> Result<bool> {
    let import = Import {
        connection,
        since: 0,
        mirror: false,
        actor: actor.clone(),
    };
    let its = |user: &User| user.upstream_id.as_ref() == Some(&account.0);
    if !users::live(db, connection, user)?.as_ref().is_some_and(its) {
        return Ok(false);
    }
    follow(db, std::slice::from_ref(account), &import)?;
    let address = users::live(db, connection, user)?.and_then(|user| user.account_key);
    Ok(address.as_ref() == Some(&account.1))
}

/// What an identity provider wrote stays, and so does everything if somebody
/// else has the address here; that is told when the account is imported.
fn readdress(db: &Connection, user: User, account: &str, import: &Import) -> Result<()> {
    let stored: Attributes = serde_json::from_str(&user.attributes)?;
    let was = user.account_key.clone().unwrap_or_default();
    let mut shown = stored.clone();
    if user.imported && !import.mirror {
        change_address(&mut shown, &was, account);
    }
    let news = shown != stored;
    let mut next = User {
        account_key: Some(account.to_owned()),
        version: user.version + i64::from(news),
        ..user
    };
    if news {
        next.modified = import.actor.at;
    }
    let name = Shown::of_user(&next, false);
    let done = name.write(shown, |shown| {
        next.attributes = serde_json::to_string(shown)?;
        in_savepoint(db, || {
            users::save_attributes(db, &next, shown)?;
            users::save(db, &next)
        })
    })?;
    if done.is_some() {
        let detail = json!({ "address": true, "version": next.version });
        let (connection, actor) = (import.connection, &import.actor);
        audit::record(db, connection, actor, "import_user", Some(next.id), &detail)?;
    }
    Ok(())
}

fn change_address(attributes: &mut Attributes, was: &str, is: &str) {
    let change = |value: &mut Value| {
        if value
            .as_str()
            .is_some_and(|text| fold_case(text) == fold_case(was))
        {
            *value = is.into();
        }
    };
    if let Some(name) = attributes.0.get_mut("userName") {
        change(name);
    }
    let emails = attributes.0.get_mut("emails").and_then(Value::as_array_mut);
    for email in emails.into_iter().flatten() {
        if let Some(value) = email.get_mut("value") {
            change(value);
        }
    }
}

/// Who a member is: by the application's id, else by the account key.
pub(super) fn member(
    db: &Connection,
    connection: i64,
    upstream_id: Option<&str>,
    account: Option<&str>,
) -> Result<Option<(i64, [u8; 16])>> {
    let by = |sql: &str, value: &str| -> Result<Option<(i64, [u8; 16])>> {
        Ok(db
            .prepare_cached(sql)?
            .query_row(params![connection, value], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?)
    };
    if let Some(value) = upstream_id {
        let found = by(
            "SELECT key, id FROM users
             WHERE connection = ?1 AND upstream_id = ?2 AND tombstone IS NULL",
            value,
        )?;
        if found.is_some() {
            return Ok(found);
        }
    }
    match account {
        Some(value) => by(
            "SELECT key, id FROM users
             WHERE connection = ?1 AND account_key = ?2 AND tombstone IS NULL",
            &value.to_lowercase(),
        ),
        None => Ok(None),
    }
}
