//! An account that several connections put into groups, and that one of them alone
//! ends and makes anew: what the others ask for on it is open again then.

use rusqlite::{Connection, params};

use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    store::Lane,
};

use super::{fault::Result, seats, users::User};

/// Users of other connections, `o`, with the account of a user of the connection
/// `c` that may end it.
macro_rules! others {
    ($account:literal, $id:literal) => {
        concat!(
            "connections c
             JOIN connections e ON e.site = c.site AND e.key <> c.key
             JOIN users o ON o.connection = e.key AND o.tombstone IS NULL
                 AND (o.account_key = ",
            $account,
            " AND o.account_key IS NOT NULL
                     OR o.upstream_id = ",
            $id,
            " AND o.upstream_id IS NOT NULL)"
        )
    };
}

/// Groups that another connection manages, in which a user was only found, and for
/// which nobody there asks any more: it was taken out since that was read.
pub(super) fn let_go(db: &Connection, user: &User, known_as: Option<&str>) -> Result<Vec<i64>> {
    let found: Vec<(i64, String)> = db
        .prepare_cached(
            "SELECT g.key, g.upstream_name FROM memberships m JOIN groups g ON g.key = m.group_key
             WHERE m.user_key = ?1 AND m.desired = 1 AND m.managed = 0
               AND g.family IS NULL AND g.tombstone IS NULL",
        )?
        .query_map([user.key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut asked = db.prepare_cached(concat!(
        "SELECT 1 FROM ",
        others!("?2", "?3"),
        " JOIN memberships m ON m.user_key = o.key AND m.desired = 1
          JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL AND g.upstream_name = ?4
          WHERE c.key = ?1"
    ))?;
    let mut let_go = Vec::new();
    for (group, name) in found {
        let of = params![user.connection, user.account_key, known_as, name];
        if seats::is_anothers(db, user.key, group)? && !asked.exists(of)? {
            let_go.push(group);
        }
    }
    Ok(let_go)
}

/// The account of a user was made; `known_as` is the id that it had before. What
/// was only found is for whoever ended it to put back, but for what is let go.
pub(super) fn want_again(db: &Connection, user: &User, known_as: Option<&str>) -> Result<()> {
    let others: Vec<(i64, Option<String>)> = db
        .prepare_cached(concat!(
            "SELECT o.key, o.upstream_id FROM ",
            others!("?2", "?3"),
            " WHERE c.key = ?1 AND c.site_accounts = 1"
        ))?
        .query_map(
            params![user.connection, user.account_key, known_as],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (other, id) in others {
        if id.is_some() && id.as_deref() == known_as && user.upstream_id.is_some() {
            db.prepare_cached("UPDATE users SET upstream_id = ?2 WHERE key = ?1")?
                .execute(params![other, user.upstream_id])?;
        }
        db.prepare_cached(
            "UPDATE memberships SET observed = 2, before = NULL, sent = NULL
             WHERE user_key = ?1 AND (desired = 1 AND managed = 1 AND group_key IN (
                     SELECT key FROM groups WHERE tombstone IS NULL AND read_only IS NULL
                         AND NOT (existence = 0 AND made = 1 AND refused IS NOT NULL))
                 OR desired = 0 AND (sent IS NOT NULL OR observed = 1))",
        )?
        .execute([other])?;
    }
    Ok(())
}

/// See [`crate::store::Sharing::asked_elsewhere`].
pub(super) fn asked(db: &Connection, user: UserKey) -> Result<Vec<(ConnectionKey, Lane)>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT e.key, g.key FROM users u JOIN ",
        others!("u.account_key", "u.upstream_id"),
        " JOIN memberships m ON m.user_key = o.key AND m.desired <> m.observed
          JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
              AND g.refused IS NULL AND g.read_only IS NULL
          WHERE u.key = ?1 AND c.key = u.connection AND c.site_accounts = 1"
    ))?;
    let lanes = select.query_map([user.0], |row| {
        let lane = Lane::Group(GroupKey(row.get(1)?));
        Ok((ConnectionKey(row.get(0)?), lane))
    })?;
    Ok(lanes.collect::<rusqlite::Result<_>>()?)
}
