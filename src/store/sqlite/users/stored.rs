//! How a user's row is written. What is indexed of a user is kept in step here and
//! nowhere else.

use rusqlite::{Connection, params};

use crate::{
    scim::{filter::fold_case, resource::Attributes},
    store::WriteError,
};

use super::{
    super::{
        fault::{Fault, Result},
        given_back, leaving, removals,
        row::existence_code,
    },
    User,
};

/// What is indexed of a live user's attributes.
struct Keys {
    user_name: Option<String>,
    external_id: Option<String>,
    emails: Vec<String>,
}

impl Keys {
    fn of(attributes: &Attributes) -> Self {
        let mut emails: Vec<String> = attributes.emails().into_iter().map(fold_case).collect();
        emails.sort_unstable();
        emails.dedup();
        Self {
            user_name: attributes.text("userName").map(fold_case),
            external_id: attributes.text("externalId").map(str::to_owned),
            emails,
        }
    }
}

/// Stores a new row and returns its key.
pub(in super::super) fn insert(
    db: &Connection,
    user: &User,
    attributes: &Attributes,
) -> Result<i64> {
    let keys = Keys::of(attributes);
    db.prepare_cached(
        "INSERT INTO users (connection, id, version, created, modified, imported, wants, existence,
             deactivated, unsure, dirty, account_key, upstream_id, user_name_key, external_id,
             attributes, account, observed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        user.connection,
        user.id.as_bytes(),
        user.version,
        user.created,
        user.modified,
        user.imported,
        user.account.active,
        existence_code(user.observed.existence),
        user.observed.deactivated,
        user.unsure,
        user.openness(),
        user.account_key,
        user.upstream_id,
        keys.user_name,
        keys.external_id,
        user.attributes,
        serde_json::to_string(&user.account)?,
        serde_json::to_string(&user.observed)?,
    ])
    .map_err(|error| taken(db, error.into(), user, attributes))?;
    let key = db.last_insert_rowid();
    index_emails(db, user.connection, key, &keys.emails)?;
    given_back::note_formers(db, key, user)?;
    leaving::is_had_again(db, key, user)?;
    removals::count_users(db, user.connection, 1)?;
    Ok(key)
}

/// Writes attributes and what is indexed of them; [`save`] the rest.
pub(in super::super) fn save_attributes(
    db: &Connection,
    user: &User,
    attributes: &Attributes,
) -> Result<()> {
    let keys = Keys::of(attributes);
    db.prepare_cached(
        "UPDATE users SET user_name_key = ?2, external_id = ?3, attributes = ?4 WHERE key = ?1",
    )?
    .execute(params![
        user.key,
        keys.user_name,
        keys.external_id,
        user.attributes
    ])
    .map_err(|error| taken(db, error.into(), user, attributes))?;
    let mut stored: Vec<String> = db
        .prepare_cached("SELECT email_key FROM user_emails WHERE user_key = ?1")?
        .query_map([user.key], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    stored.sort_unstable();
    if stored != keys.emails {
        db.prepare_cached("DELETE FROM user_emails WHERE user_key = ?1")?
            .execute([user.key])?;
        index_emails(db, user.connection, user.key, &keys.emails)?;
    }
    Ok(())
}

fn index_emails(db: &Connection, connection: i64, key: i64, emails: &[String]) -> Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO user_emails (connection, email_key, user_key) VALUES (?1, ?2, ?3)",
    )?;
    for email in emails {
        insert.execute(params![connection, email, key])?;
    }
    Ok(())
}

/// Writes everything but attributes, and keeps `dirty` true to it.
pub(in super::super) fn save(db: &Connection, user: &User) -> Result<()> {
    db.prepare_cached(
        "UPDATE users SET version = ?2, modified = ?3, tombstone = ?4, wants = ?5, existence = ?6,
             deactivated = ?7, unsure = ?8, dirty = ?9, turn = ?10, account_key = ?11,
             upstream_id = ?12, refused = ?13, account = ?14, observed = ?15,
             withdrawn = ?16,
             left_at = iif(?5 = 0 AND ?9 = 1, coalesce(left_at, ?3), NULL)
         WHERE key = ?1",
    )?
    .execute(params![
        user.key,
        user.version,
        user.modified,
        user.tombstone,
        user.account.active,
        existence_code(user.observed.existence),
        user.observed.deactivated,
        user.unsure,
        user.openness(),
        user.turn,
        user.account_key,
        user.upstream_id,
        user.refused,
        serde_json::to_string(&user.account)?,
        serde_json::to_string(&user.observed)?,
        user.withdrawn as i64,
    ])
    .map_err(|error| taken(db, error.into(), user, &Attributes::default()))?;
    Ok(())
}

/// Which value an index refused; the one a client can do most about first,
/// because the database stops at any of them.
fn taken(db: &Connection, fault: Fault, user: &User, attributes: &Attributes) -> Fault {
    if fault.violated().is_none() {
        return fault;
    }
    let keys = Keys::of(attributes);
    let mine = [
        (
            "userName",
            "user_name_key",
            keys.user_name,
            attributes.text("userName"),
        ),
        (
            "externalId",
            "external_id",
            keys.external_id,
            attributes.text("externalId"),
        ),
        (
            "account",
            "account_key",
            user.account_key.clone(),
            user.account_key.as_deref(),
        ),
    ];
    for (attribute, column, key, value) in mine {
        let (Some(key), Some(value)) = (key, value) else {
            continue;
        };
        let sql = format!(
            "SELECT 1 FROM users
             WHERE connection = ?1 AND {column} = ?2 AND tombstone IS NULL AND key <> ?3"
        );
        let held = db
            .prepare_cached(&sql)
            .and_then(|mut select| select.exists(params![user.connection, key, user.key]));
        match held {
            Ok(false) => {}
            Ok(true) => {
                let value = value.to_owned();
                let holder = None;
                return WriteError::Taken {
                    attribute,
                    value,
                    holder,
                }
                .into();
            }
            Err(error) => return error.into(),
        }
    }
    fault
}
