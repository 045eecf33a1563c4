//! Who manages a group or account that several connections lead to. It is asked
//! in the transaction of the write that would change it, so of two at once one
//! is the first (reliability: H-18). Where a connection is alone at its
//! application this is one look at its row.
//!
//! An owner that has no such group or account any more has let go of it; that is
//! seen when somebody else asks for it.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::ConnectionKey,
    scim::{error::Problem, resource::ResourceType},
    store::{Elsewhere, Sharing, Site, StoreError},
};

use super::{Sqlite, fault::Result, groups::Group, row::id_at, users::User};

#[derive(Clone, Copy)]
enum Kind {
    Group = 0,
    Account = 1,
}

/// The names by which a group is managed: groups that exclude each other go
/// together, because who has one of them lacks the others.
macro_rules! group_name {
    () => {
        "coalesce(g.family, g.upstream_name)"
    };
}
/// A group that the application still has, or is to have, by a name that it knows.
macro_rules! group_kept {
    () => {
        "(g.tombstone IS NULL OR g.existence <> 0) AND g.id_known IS NOT 0"
    };
}
macro_rules! account_kept {
    () => {
        "(u.tombstone IS NULL OR u.existence <> 0) AND u.account_key IS NOT NULL"
    };
}

/// A change of a group that the application would be told of.
pub(super) fn claim_group(db: &Connection, group: &Group) -> Result<()> {
    if group.id_known == Some(false) {
        return Ok(());
    }
    let family = group.family.as_ref().map(|family| family.name.as_str());
    let name = family.unwrap_or(&group.upstream_name);
    claim(db, group.connection, Kind::Group, name)
}

/// A change of an account that the application would be told of.
pub(super) fn claim_account(db: &Connection, connection: i64, account: Option<&str>) -> Result<()> {
    match account {
        Some(account) => claim(db, connection, Kind::Account, account),
        None => Ok(()),
    }
}

/// Families that another connection manages and that this one has never asked
/// for the user in.
pub(super) fn others_families(db: &Connection, user: &User) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(
        "SELECT DISTINCT w.name, w.connection FROM connections c
             JOIN owners w ON w.site = c.site AND w.kind = 0 AND w.connection <> c.key
             JOIN groups g ON g.connection = c.key AND g.family = w.name
         WHERE c.key = ?1 AND c.site IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM memberships m JOIN groups own ON own.key = m.group_key
             WHERE m.user_key = ?2 AND m.managed = 1
                 AND own.connection = c.key AND own.family = w.name)",
    )?;
    let rows = select.query_map([user.connection, user.key], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?))
    })?;
    let mut families = Vec::new();
    for row in rows {
        let (name, owner) = row?;
        if is_kept(db, owner, Kind::Group, &name)? {
            families.push(name);
        }
    }
    Ok(families)
}

fn claim(db: &Connection, connection: i64, kind: Kind, name: &str) -> Result<()> {
    let site: (Option<String>, bool) = db
        .prepare_cached("SELECT site, site_accounts FROM connections WHERE key = ?1")?
        .query_row([connection], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(site), accounts) = site else {
        return Ok(());
    };
    if matches!(kind, Kind::Account) && !accounts {
        return Ok(());
    }
    let owner: Option<i64> = db
        .prepare_cached(
            "SELECT connection FROM owners WHERE site = ?1 AND kind = ?2 AND name = ?3",
        )?
        .query_row(params![site, kind as i64, name], |row| row.get(0))
        .optional()?;
    match owner {
        Some(owner) if owner == connection => return Ok(()),
        Some(owner) if is_kept(db, owner, kind, name)? => return Err(elsewhere(kind).into()),
        _ => {}
    }
    db.prepare_cached(
        "INSERT INTO owners (site, kind, name, connection) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET connection = ?4",
    )?
    .execute(params![site, kind as i64, name, connection])?;
    Ok(())
}

fn is_kept(db: &Connection, owner: i64, kind: Kind, name: &str) -> Result<bool> {
    let sql = match kind {
        // Each half has an index of its own.
        Kind::Group => concat!(
            "SELECT 1 FROM groups g WHERE g.connection = ?1 AND g.upstream_name = ?2
                 AND g.family IS NULL AND ",
            group_kept!(),
            " UNION ALL
             SELECT 1 FROM groups g WHERE g.connection = ?1 AND g.family = ?2
                 AND g.tombstone IS NULL LIMIT 1"
        ),
        Kind::Account => concat!(
            "SELECT 1 FROM users u WHERE u.connection = ?1 AND u.account_key = ?2 AND ",
            account_kept!(),
            " LIMIT 1"
        ),
    };
    Ok(db.prepare_cached(sql)?.exists(params![owner, name])?)
}

/// Of the other connection nothing is told here: whoever reads this may be of
/// another company. The status tells the administrator.
fn elsewhere(kind: Kind) -> Problem {
    let what = match kind {
        Kind::Group => "Group",
        Kind::Account => "User's account",
    };
    Problem::new(
        403,
        format!(
            "this {what} is managed elsewhere in this bridge, so it is not changed through this \
             connection; its administrator sees where in `drawbridge status`"
        ),
    )
}

fn settle(db: &Connection, sites: &[(ConnectionKey, Option<Site>)]) -> Result<()> {
    db.execute("UPDATE connections SET site = NULL, site_accounts = 0", [])?;
    let mut known = Vec::new();
    for (key, site) in sites {
        known.push(key.0.to_string());
        let Some(site) = site else { continue };
        db.prepare_cached("UPDATE connections SET site = ?2, site_accounts = ?3 WHERE key = ?1")?
            .execute(params![key.0, site.name, site.accounts])?;
        db.prepare_cached("UPDATE OR IGNORE owners SET site = ?2 WHERE connection = ?1")?
            .execute(params![key.0, site.name])?;
        db.prepare_cached("DELETE FROM owners WHERE connection = ?1 AND site <> ?2")?
            .execute(params![key.0, site.name])?;
    }
    // Numbers of our own.
    let gone = format!(
        "DELETE FROM owners WHERE connection NOT IN ({})",
        known.join(", ")
    );
    db.execute(&gone, [])?;
    db.execute(FIRST_GROUPS, [])?;
    db.execute(FIRST_ACCOUNTS, [])?;
    Ok(())
}

const FIRST_GROUPS: &str = concat!(
    "INSERT OR IGNORE INTO owners (site, kind, name, connection)
     SELECT c.site, 0, ",
    group_name!(),
    ", c.key FROM groups g JOIN connections c ON c.key = g.connection
     WHERE c.site IS NOT NULL AND ",
    group_kept!(),
    " AND (g.ours = 1 OR EXISTS (
             SELECT 1 FROM memberships m WHERE m.group_key = g.key AND m.managed = 1))
     ORDER BY g.key"
);
const FIRST_ACCOUNTS: &str = concat!(
    "INSERT OR IGNORE INTO owners (site, kind, name, connection)
     SELECT c.site, 1, u.account_key, c.key FROM users u JOIN connections c ON c.key = u.connection
     WHERE c.site IS NOT NULL AND c.site_accounts = 1 AND u.imported = 0 AND ",
    account_kept!(),
    " ORDER BY u.key"
);

/// Whether there is nothing to settle: nobody shares, and nobody did.
fn is_settled(db: &Connection, sites: &[(ConnectionKey, Option<Site>)]) -> Result<bool> {
    let any: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM owners)
                 OR EXISTS (SELECT 1 FROM connections WHERE site IS NOT NULL)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(!any && sites.iter().all(|(_, site)| site.is_none()))
}

fn list(db: &Connection, connection: i64, most: usize) -> Result<Vec<Elsewhere>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let shares = db
        .prepare_cached("SELECT 1 FROM connections WHERE key = ?1 AND site IS NOT NULL")?
        .exists([connection])?;
    if !shares {
        return Ok(Vec::new());
    }
    let mut select = db.prepare_cached(concat!(
        "SELECT g.id, o.name, 0 FROM connections c JOIN groups g ON g.connection = c.key
             JOIN owners w ON w.site = c.site AND w.kind = 0 AND w.name = ",
        group_name!(),
        " JOIN connections o ON o.key = w.connection
         WHERE c.key = ?1 AND w.connection <> ?1 AND g.tombstone IS NULL
         UNION ALL
         SELECT u.id, o.name, 1 FROM connections c JOIN users u ON u.connection = c.key
             JOIN owners w ON w.site = c.site AND w.kind = 1 AND w.name = u.account_key
             JOIN connections o ON o.key = w.connection
         WHERE c.key = ?1 AND w.connection <> ?1 AND u.tombstone IS NULL
         LIMIT ?2"
    ))?;
    let rows = select.query_map([connection, most], |row| {
        Ok(Elsewhere {
            of: if row.get(2)? {
                ResourceType::User
            } else {
                ResourceType::Group
            },
            id: id_at(row, 0)?,
            by: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[async_trait]
impl Sharing for Sqlite {
    async fn settle_sites(
        &self,
        sites: Vec<(ConnectionKey, Option<Site>)>,
    ) -> std::result::Result<(), StoreError> {
        if self.readers.read(|db| is_settled(db, &sites))? {
            return Ok(());
        }
        Ok(self.writer.write(move |db| settle(db, &sites)).await?)
    }

    async fn managed_elsewhere(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> std::result::Result<Vec<Elsewhere>, StoreError> {
        Ok(self
            .readers
            .read_apart(move |db| list(db, c.0, most))
            .await?)
    }
}
