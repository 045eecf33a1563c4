//! Who manages a group or account that several connections lead to. It is asked
//! in the transaction of the write that would change it, so of two at once one
//! is the first (reliability: H-18). Where a connection is alone at its
//! application this is one look at its row.
//!
//! An owner that has no such group or account any more has let go of it, once it can
//! reach it no more (see [`let_go`]); that is seen when somebody else asks for it.
//! Asking for who was found in a group is asking for a change of it: whoever asks
//! takes them out when they leave and puts them back when they are missing, which two
//! cannot do for one.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{ConnectionKey, GroupKey, UserKey},
    scim::{error::Problem, resource::ResourceType},
    store::{Awaited, Elsewhere, Lane, Place, Sharing, Site, StoreError},
};

use super::{
    Sqlite, askers, fault::Result, groups::Group, keys, let_go, row::id_at, seats, sharing,
    users::User,
};

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Group,
    /// One that is to be made.
    NewGroup,
    Account,
    /// See [`seats`].
    Seat,
}

impl Kind {
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Group | Self::NewGroup => 0,
            Self::Account => 1,
            Self::Seat => 2,
        }
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Group | Self::NewGroup => "Group",
            Self::Account | Self::Seat => "User's account",
        }
    }
}

/// What keeps others from what an owner has.
enum Hold {
    /// It has it still.
    Kept,
    /// It has let go of it, and may reach it yet.
    Awaited(Awaited),
}

/// A group that the application still has, or is to have, by a name that it
/// knows. What was only found and is gone there is nobody's. The first line is
/// what the names' index asks for.
macro_rules! group_kept {
    () => {
        "(g.tombstone IS NULL OR g.existence <> 0)
         AND (g.existence <> 0 OR g.ours = 1) AND g.id_known IS NOT 0"
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
    claim(db, group.connection, Kind::Group, &group.upstream_name)
}

/// A group that is made. Whoever only found one of that name and asked for
/// nobody who was seen there may have found what is gone by now; if it is not,
/// the application says so.
pub(super) fn claim_new(db: &Connection, group: &Group) -> Result<()> {
    if group.id_known == Some(false) {
        return Ok(());
    }
    claim(db, group.connection, Kind::NewGroup, &group.upstream_name)
}

/// A change of an account that the application would be told of.
pub(super) fn claim_account(db: &Connection, connection: i64, account: Option<&str>) -> Result<()> {
    match account {
        Some(account) => claim(db, connection, Kind::Account, account),
        None => Ok(()),
    }
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
    let owner = owner(db, &site, kind, name)?;
    if owner == Some(connection) {
        return Ok(());
    }
    let hold = owner.map(|owner| hold(db, owner, kind, name));
    match hold.transpose()?.flatten() {
        Some(Hold::Kept) => Err(elsewhere(kind).into()),
        Some(Hold::Awaited(awaited)) => Err(let_go::later(kind, awaited).into()),
        // What that looks after may have this name.
        None if keys::are_open_elsewhere(db, &site, connection)? => Err(elsewhere(kind).into()),
        None => take(db, &site, kind, name, connection),
    }
}

/// Who has, or had, what has a name.
pub(super) fn owner(db: &Connection, site: &str, kind: Kind, name: &str) -> Result<Option<i64>> {
    Ok(db
        .prepare_cached(
            "SELECT connection FROM owners WHERE site = ?1 AND kind = ?2 AND name = ?3",
        )?
        .query_row(params![site, kind.code(), name], |row| row.get(0))
        .optional()?)
}

/// What a connection looks after has another name by now: the former one, and that.
pub(super) fn rename(
    db: &Connection,
    connection: i64,
    names: &[(Kind, String, String)],
) -> Result<()> {
    let mut end = db.prepare_cached(
        "DELETE FROM owners WHERE connection = ?1 AND kind = ?2 AND name = ?3
         RETURNING site, taken",
    )?;
    let mut begin = db.prepare_cached(
        "INSERT OR IGNORE INTO owners (site, kind, name, connection, taken)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut had = Vec::new();
    // Two may have changed names.
    for (kind, former, name) in names {
        let owned = end.query_map(params![connection, kind.code(), former], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })?;
        for owned in owned {
            had.push((owned?, kind.code(), name));
        }
    }
    for ((site, taken), kind, name) in had {
        begin.execute(params![site, kind, name, connection, taken])?;
    }
    Ok(())
}

/// What a connection asked to be made, and what is not there by that, is nobody's.
pub(super) fn let_go(db: &Connection, group: &Group) -> Result<()> {
    db.prepare_cached("DELETE FROM owners WHERE connection = ?1 AND kind = ?2 AND name = ?3")?
        .execute(params![
            group.connection,
            Kind::Group.code(),
            group.upstream_name
        ])?;
    Ok(())
}

/// From whoever had it and let go of it.
pub(super) fn take(
    db: &Connection,
    site: &str,
    kind: Kind,
    name: &str,
    connection: i64,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO owners (site, kind, name, connection) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET connection = ?4, taken = 1 WHERE owners.connection <> ?4",
    )?
    .execute(params![site, kind.code(), name, connection])?;
    Ok(())
}

/// Whether a connection took it from another one; told once.
pub(super) fn was_taken(
    db: &Connection,
    site: &str,
    kind: Kind,
    name: &str,
    connection: i64,
) -> Result<bool> {
    let told = db
        .prepare_cached(
            "UPDATE owners SET taken = 0
             WHERE site = ?1 AND kind = ?2 AND name = ?3 AND connection = ?4 AND taken = 1",
        )?
        .execute(params![site, kind.code(), name, connection])?;
    Ok(told > 0)
}

/// The same of a group of ours that shares its site with others, or not.
pub(super) fn is_anothers(db: &Connection, group: &Group) -> Result<bool> {
    let site: Option<String> = db
        .prepare_cached("SELECT site FROM connections WHERE key = ?1")?
        .query_row([group.connection], |row| row.get(0))?;
    site.map_or(Ok(false), |site| {
        is_others(db, &site, group.connection, &group.upstream_name)
    })
}

/// Whether another connection manages a group.
pub(super) fn is_others(db: &Connection, site: &str, connection: i64, name: &str) -> Result<bool> {
    is_others_of(db, site, connection, (Kind::Group, name))
}

/// Or an account.
pub(super) fn is_others_account(
    db: &Connection,
    site: &str,
    connection: i64,
    account: &str,
) -> Result<bool> {
    is_others_of(db, site, connection, (Kind::Account, account))
}

/// Whether another connection manages the account of a user, also of one that was deleted.
pub(super) fn is_anothers_account(db: &Connection, user: &User) -> Result<bool> {
    let site: Option<String> = db
        .prepare_cached("SELECT site FROM connections WHERE key = ?1")?
        .query_row([user.connection], |row| row.get(0))?;
    match (site, &user.account_key) {
        (Some(site), Some(account)) => is_others_account(db, &site, user.connection, account),
        _ => Ok(false),
    }
}

/// Whether a connection itself manages an account.
pub(super) fn manages_account(
    db: &Connection,
    connection: i64,
    account: Option<&str>,
) -> Result<bool> {
    let sql = "SELECT 1 FROM owners w JOIN connections c ON c.site = w.site
         WHERE c.key = ?1 AND w.kind = ?2 AND w.name = ?3 AND w.connection = ?1";
    let of = params![connection, Kind::Account.code(), account];
    Ok(db.prepare_cached(sql)?.exists(of)?)
}

fn is_others_of(
    db: &Connection,
    site: &str,
    connection: i64,
    (kind, name): (Kind, &str),
) -> Result<bool> {
    match owner(db, site, kind, name)? {
        Some(owner) if owner != connection => Ok(hold(db, owner, kind, name)?.is_some()),
        _ => Ok(false),
    }
}

/// The groups of a family that others manage.
pub(super) fn others_in(
    db: &Connection,
    site: &str,
    connection: i64,
    family: &str,
) -> Result<Vec<String>> {
    let mut select = db.prepare_cached(concat!(
        "SELECT g.upstream_name FROM connections c JOIN groups g ON g.connection = c.key
             JOIN owners w ON w.site = c.site AND w.kind = 0 AND w.name = g.upstream_name
                 AND w.connection = c.key
         WHERE c.site = ?1 AND c.key <> ?2 AND g.family = ?3 AND g.tombstone IS NULL AND ",
        group_kept!()
    ))?;
    let names = select.query_map(params![site, connection, family], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

fn hold(db: &Connection, owner: i64, kind: Kind, name: &str) -> Result<Option<Hold>> {
    if let_go::is_departed(db, owner)? {
        let lands = let_go::lands(db, owner, kind, name)?;
        return Ok(lands.map(|since| Hold::Awaited(Awaited::Departed(since))));
    }
    let kept = match kind {
        Kind::Group => concat!(
            "SELECT 1 FROM groups g WHERE g.connection = ?1 AND g.upstream_name = ?2 AND ",
            group_kept!(),
            // One that its configuration leaves out it has only for whom it asks for.
            " AND (g.offered = 1 OR EXISTS (
                 SELECT 1 FROM memberships m WHERE m.group_key = g.key AND m.managed = 1
                     AND (m.desired = 1 OR m.observed <> 0)))"
        ),
        Kind::NewGroup => concat!(
            "SELECT 1 FROM groups g WHERE g.connection = ?1 AND g.upstream_name = ?2 AND ",
            group_kept!(),
            " AND (g.ours = 1 OR EXISTS (
                 SELECT 1 FROM memberships m
                 WHERE m.group_key = g.key AND m.managed = 1 AND m.observed = 1))"
        ),
        Kind::Account => concat!(
            "SELECT 1 FROM users u WHERE u.connection = ?1 AND u.account_key = ?2 AND ",
            account_kept!()
        ),
        // That is asked of one user: see `seats`.
        Kind::Seat => return Ok(Some(Hold::Kept)),
    };
    let of = params![owner, name];
    let live = format!("{kept} AND tombstone IS NULL");
    Ok(if db.prepare_cached(&live)?.exists(of)? {
        Some(Hold::Kept)
    } else if let_go::is_awaited(db, owner, kind, name)? {
        Some(Hold::Awaited(Awaited::Connection(ConnectionKey(owner))))
    } else {
        // Its end was refused, or waits for an operator.
        let kept = db.prepare_cached(kept)?.exists(of)?;
        kept.then_some(Hold::Kept)
    })
}

/// Of the other connection nothing is told here: whoever reads this may be of
/// another company. The status tells the administrator.
fn elsewhere(kind: Kind) -> Problem {
    Problem::new(
        403,
        format!(
            "this {} is managed elsewhere in this bridge, so it is not changed through this \
             connection; its administrator sees where in `drawbridge status`",
            kind.noun()
        ),
    )
}

fn settle(db: &Connection, sites: &[(ConnectionKey, Option<Site>)]) -> Result<()> {
    let mut known: Vec<String> = sites.iter().map(|(key, _)| key.0.to_string()).collect();
    let departed = let_go::departed(db, &known)?;
    let mut shared = Vec::new();
    for (key, site) in sites {
        let (former, accounts): (Option<String>, bool) = db
            .prepare_cached("SELECT site, site_accounts FROM connections WHERE key = ?1")?
            .query_row([key.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let left = departed
            .iter()
            .filter(|(_, site)| Some(site) == former.as_ref());
        let left: Vec<i64> = left.map(|(key, _)| *key).collect();
        // Whoever is alone there now is not yet, as long as such a call may land.
        let site = site.clone().or_else(|| {
            let name = former.filter(|_| !left.is_empty())?;
            Some(Site { name, accounts })
        });
        shared.extend(site.map(|site| (*key, site, left)));
    }
    known.extend(departed.iter().map(|(key, _)| key.to_string()));
    db.execute("UPDATE connections SET site = NULL, site_accounts = 0", [])?;
    for (key, site, left) in &shared {
        db.prepare_cached("UPDATE connections SET site = ?2, site_accounts = ?3 WHERE key = ?1")?
            .execute(params![key.0, site.name, site.accounts])?;
        db.prepare_cached("UPDATE OR IGNORE owners SET site = ?2 WHERE connection = ?1")?
            .execute(params![key.0, site.name])?;
        db.prepare_cached("DELETE FROM owners WHERE connection = ?1 AND site <> ?2")?
            .execute(params![key.0, site.name])?;
        for departed in left {
            let_go::note_departed(db, *departed)?;
            db.prepare_cached("UPDATE OR IGNORE owners SET site = ?2 WHERE connection = ?1")?
                .execute(params![departed, site.name])?;
            db.prepare_cached("DELETE FROM owners WHERE connection = ?1 AND kind = ?2")?
                .execute(params![departed, Kind::Seat.code()])?;
        }
    }
    // Numbers of our own.
    let gone = format!(
        "DELETE FROM owners WHERE connection NOT IN ({})",
        known.join(", ")
    );
    db.execute(&gone, [])?;
    db.execute(FIRST_GROUPS, [])?;
    db.execute(FIRST_ACCOUNTS, [])?;
    db.execute(seats::LAST, [])?;
    for first in seats::FIRST {
        db.execute(first, [])?;
    }
    Ok(())
}

const FIRST_GROUPS: &str = concat!(
    "INSERT OR IGNORE INTO owners (site, kind, name, connection)
     SELECT c.site, 0, g.upstream_name, c.key FROM groups g JOIN connections c ON c.key = g.connection
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
    let mut select = db.prepare_cached(
        "SELECT g.id, o.name, 0 FROM connections c JOIN groups g ON g.connection = c.key
             JOIN owners w ON w.site = c.site AND w.kind = 0 AND w.name = g.upstream_name
             JOIN connections o ON o.key = w.connection
         WHERE c.key = ?1 AND w.connection <> ?1 AND g.tombstone IS NULL AND o.site_accounts >= 0
         UNION ALL
         SELECT u.id, o.name, 1 FROM connections c JOIN users u ON u.connection = c.key
             JOIN owners w ON w.site = c.site AND w.kind = 1 AND w.name = u.account_key
             JOIN connections o ON o.key = w.connection
         WHERE c.key = ?1 AND w.connection <> ?1 AND u.tombstone IS NULL AND o.site_accounts >= 0
         LIMIT ?2",
    )?;
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

    async fn places_elsewhere(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> std::result::Result<Vec<Place>, StoreError> {
        let read = move |db: &Connection| seats::elsewhere(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn asked_elsewhere(
        &self,
        user: UserKey,
    ) -> std::result::Result<Vec<(ConnectionKey, Lane)>, StoreError> {
        Ok(self.readers.read(|db| sharing::asked(db, user))?)
    }

    async fn open_elsewhere(
        &self,
        group: GroupKey,
    ) -> std::result::Result<Vec<(ConnectionKey, Lane)>, StoreError> {
        Ok(self.readers.read(|db| sharing::open(db, group))?)
    }

    async fn asked_for_elsewhere(
        &self,
        group: GroupKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> std::result::Result<Vec<usize>, StoreError> {
        let read = move |db: &Connection| askers::among(db, group.0, &members);
        Ok(self.readers.read_apart(read).await?)
    }
}
