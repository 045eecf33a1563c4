//! An account that another connection of the tenant manages and has ended. Here the user
//! is shown as inactive from then on, as that is what it is; what is asked for of it in
//! groups is kept, told as waiting, and there again when the account is made anew (see
//! [`super::sharing`]). Nothing is made or ended because of that: who has let go of the
//! account decides, and where nobody has it any more, whoever asks for it next.

use rusqlite::{Connection, params};
use serde_json::json;

use crate::{
    plan::state::Existence,
    scim::resource::Attributes,
    store::{Millis, UserRow},
};

use super::{
    audit,
    fault::Result,
    owners,
    sharing::{engine, others},
    users::{self, User},
};

/// The end of an account is confirmed: those who have the same one and do not manage it.
pub(super) fn note(db: &Connection, user: &User, at: Millis) -> Result<()> {
    let keys: Vec<i64> = db
        .prepare_cached(concat!(
            "SELECT o.key FROM ",
            others!("?2", "?3"),
            " WHERE c.key = ?1 AND c.site_accounts = 1 AND o.wants = 1 AND o.existence = 1
               AND o.ended_elsewhere IS NULL"
        ))?
        .query_map(
            params![user.connection, user.account_key, user.upstream_id],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let Some(other) = users::by_key(db, key)? else {
            continue;
        };
        if !owners::manages_account(db, other.connection, other.account_key.as_deref())? {
            show(db, other, false, at)?;
        }
    }
    Ok(())
}

/// The account is there again.
pub(super) fn is_back(db: &Connection, key: i64, at: Millis) -> Result<()> {
    if is_noted(db, key)?
        && let Some(user) = users::by_key(db, key)?
    {
        show(db, user, true, at)?;
    }
    Ok(())
}

/// The same where a reading shows it that began after the audit row `since`.
pub(super) fn is_shown(db: &Connection, key: i64, (since, at): (i64, Millis)) -> Result<()> {
    let before = db
        .prepare_cached("SELECT 1 FROM users WHERE key = ?1 AND ended_elsewhere <= ?2")?
        .exists([key, since])?;
    if before {
        is_back(db, key, at)?;
    }
    Ok(())
}

pub(super) fn is_noted(db: &Connection, key: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM users WHERE key = ?1 AND ended_elsewhere IS NOT NULL")?
        .exists([key])?)
}

/// The row with what its attributes say, where they are asked for.
pub(super) fn as_shown(row: &UserRow) -> UserRow {
    let mut shown = row.clone();
    shown.account.active = false;
    shown
}

/// The account is this connection's from here on: it was ended, and is made anew if it
/// is wanted.
pub(super) fn take_over(db: &Connection, user: &mut User) -> Result<()> {
    user.observed.existence = Existence::Absent;
    user.observed.deactivated = true;
    db.prepare_cached("UPDATE users SET ended_elsewhere = NULL WHERE key = ?1")?
        .execute([user.key])?;
    Ok(())
}

fn show(db: &Connection, mut user: User, active: bool, at: Millis) -> Result<()> {
    let mut attributes: Attributes = serde_json::from_str(&user.attributes)?;
    attributes.0.insert("active".into(), active.into());
    user.attributes = serde_json::to_string(&attributes)?;
    user.version += 1;
    user.modified = user.modified.max(at);
    users::save_attributes(db, &user, &attributes)?;
    users::save(db, &user)?;
    let detail = json!({ "ended_elsewhere": !active, "version": user.version });
    let (by, id) = (engine(at), Some(user.id));
    audit::record(db, user.connection, &by, "drift", id, &detail)?;
    let number = (!active).then_some(audit::latest(db)?);
    db.prepare_cached("UPDATE users SET ended_elsewhere = ?2 WHERE key = ?1")?
        .execute(params![user.key, number])?;
    Ok(())
}

/// A pair `m` that is asked for of a live user `u` whose account was ended so.
macro_rules! asked {
    () => {
        "FROM users u JOIN memberships m ON m.user_key = u.key AND m.desired = 1
             AND m.managed = 1
         JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
         WHERE u.connection = ?1 AND u.ended_elsewhere IS NOT NULL AND u.tombstone IS NULL
           AND u.wants = 1"
    };
}
pub(super) const ASKED: &str = concat!("SELECT DISTINCT u.id, NULL, 0 ", asked!(), " LIMIT ?2");
pub(super) const USERS: &str = concat!("SELECT count(DISTINCT u.key) ", asked!());
/// Those that are not told as open by themselves.
pub(super) const MEMBERSHIPS: &str = concat!("SELECT count(*) ", asked!(), " AND m.observed = 1");
