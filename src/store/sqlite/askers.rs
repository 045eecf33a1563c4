//! Who else at the tenant asks for a member of a group. What is there because of
//! that is neither given back nor to be ended by the connection that has let go of
//! it, and is not told of there: a request of another connection is not its matter.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{fault::Result, seats::same_person};

/// Asked for there, or on the way out.
const ASKS: &str = concat!(
    "SELECT 1 FROM ",
    same_person!(),
    " JOIN users o ON o.key = x.key
      JOIN memberships m ON m.user_key = o.key AND m.managed = 1
      JOIN groups g ON g.key = m.group_key AND g.upstream_name = ?4
      WHERE m.desired = 1 AND o.wants = 1 AND o.tombstone IS NULL AND g.tombstone IS NULL
         OR m.observed <> 0 AND (m.desired = 0 OR o.dirty = 1 AND o.refused IS NULL)"
);

/// A group, as the others at its tenant know it too.
struct Shared {
    name: String,
    /// Accounts are known by their addresses alone.
    by_address: bool,
    others: Vec<i64>,
}

/// `None` where nobody shares it.
fn shared(db: &Connection, group: i64) -> Result<Option<Shared>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found: Option<(String, bool, i64, String)> = db
        .prepare_cached(
            "SELECT g.upstream_name, c.site_accounts, c.key, c.site
             FROM groups g JOIN connections c ON c.key = g.connection
             WHERE g.key = ?1 AND c.site IS NOT NULL",
        )?
        .query_row([group], read)
        .optional()?;
    let Some((name, by_address, own, site)) = found else {
        return Ok(None);
    };
    let mut select =
        db.prepare_cached("SELECT key FROM connections WHERE site = ?1 AND key <> ?2")?;
    let others = select.query_map(params![site, own], |row| row.get(0))?;
    Ok(Some(Shared {
        name,
        by_address,
        others: others.collect::<rusqlite::Result<_>>()?,
    }))
}

impl Shared {
    fn is_asked(&self, db: &Connection, id: Option<&str>, account: Option<&str>) -> Result<bool> {
        let id = id.filter(|_| account.is_none() || !self.by_address);
        let mut asks = db.prepare_cached(ASKS)?;
        for other in &self.others {
            if asks.exists(params![other, account, id, self.name])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// See [`crate::store::Sharing::asked_for_elsewhere`].
pub(super) fn among(
    db: &Connection,
    group: i64,
    members: &[(Option<String>, Option<String>)],
) -> Result<Vec<usize>> {
    let Some(shared) = shared(db, group)? else {
        return Ok(Vec::new());
    };
    let mut asked = Vec::new();
    for (place, (id, account)) in members.iter().enumerate() {
        if shared.is_asked(db, id.as_deref(), account.as_deref())? {
            asked.push(place);
        }
    }
    Ok(asked)
}

/// Whether another connection asks for a user in a group.
pub(super) fn is_any(db: &Connection, user: i64, group: i64) -> Result<bool> {
    let Some(shared) = shared(db, group)? else {
        return Ok(false);
    };
    let (id, account): (Option<String>, Option<String>) = db
        .prepare_cached("SELECT upstream_id, account_key FROM users WHERE key = ?1")?
        .query_row([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
    shared.is_asked(db, id.as_deref(), account.as_deref())
}
