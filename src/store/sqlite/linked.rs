//! Users of whom it is not known yet in which groups their accounts are: see
//! [`Linked`]. A reading makes members of them, as import would have, also in groups
//! that are made here, but for what was taken away here. Who leaves is taken out of
//! whatever it shows, and their withdrawal is open until there was one (reliability:
//! I-13). Whoever was deleted and has the account still is looked for by the next
//! import, too, as somebody may have put them into a group before they left.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::state::{ConnectionKey, Existence, GroupKey, UserKey},
    scim::resource::ResourceId,
    store::{Actor, FoundGroup, ImportMark, Lane, Linked, Reading, StoreError, TakenOut, Unsure},
};

use super::{
    Sqlite, audit,
    fault::Result,
    given_back, groups,
    import::{self, Import},
    lanes,
    newcomers::Newcomer,
    readers::Readers,
    row::id_at,
    said, seats, users,
    withdrawal::{self, Withdrawal},
    writer::Writer,
};

/// Whether the withdrawal of a user `u` waits for a reading.
macro_rules! unread {
    () => {
        "EXISTS (SELECT 1 FROM linked l WHERE l.user_key = u.key AND l.waits = 1)"
    };
}
pub(super) use unread;

/// Members of one group in one transaction.
const PORTION: usize = 500;

/// The account was there before it was the user's.
pub(super) fn note(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO linked (user_key, number, waits) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET number = excluded.number, waits = 1",
    )?
    .execute([user, audit::latest(db)? + 1])?;
    Ok(())
}

/// Whoever is deleted has the account still.
pub(super) fn note_left(db: &Connection, user: i64) -> Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO linked (user_key, number, waits) VALUES (?1, ?2, 0)")?
        .execute([user, audit::latest(db)? + 1])?;
    Ok(())
}

/// Nothing is left to do for whoever was deleted; the account is somebody else's, perhaps.
pub(super) fn hand_over(db: &Connection, from: i64, to: Option<i64>) -> Result<()> {
    let had = db
        .prepare_cached("DELETE FROM linked WHERE user_key = ?1")?
        .execute([from])?;
    match to {
        Some(to) if had > 0 => note(db, to),
        _ => Ok(()),
    }
}

pub(super) fn is_unread(db: &Connection, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM linked WHERE user_key = ?1 AND waits = 1")?
        .exists([user])?)
}

const LEAVERS: &str = "SELECT 1 FROM linked l JOIN users u ON u.key = l.user_key
     WHERE u.connection = ?1 AND l.waits = 1 AND u.withdrawn = 1 AND u.wants = 0";

/// Somebody whose account has to be looked for in groups.
#[derive(Debug, Clone, Copy)]
struct Person {
    key: i64,
    id: [u8; 16],
    deleted: bool,
    /// Must have nothing.
    leaves: bool,
}

#[derive(Debug, Default)]
struct People {
    by_id: HashMap<String, Person>,
    by_account: HashMap<String, Person>,
}

impl People {
    fn of(db: &Connection, connection: i64) -> Result<Self> {
        let mut people = Self::default();
        let mut select = db.prepare_cached(
            "SELECT u.key, u.id, u.upstream_id, u.account_key, u.tombstone IS NOT NULL,
                 u.wants = 0 AND u.withdrawn <> 0
             FROM linked l JOIN users u ON u.key = l.user_key
             WHERE u.connection = ?1 AND u.account_key IS NOT NULL AND u.existence <> 0
               AND (u.tombstone IS NULL OR u.withdrawn <> 0)
             ORDER BY u.tombstone IS NULL",
        )?;
        let mut rows = select.query([connection])?;
        while let Some(row) = rows.next()? {
            let person = Person {
                key: row.get(0)?,
                id: row.get(1)?,
                deleted: row.get(4)?,
                leaves: row.get(5)?,
            };
            if let Some(id) = row.get::<_, Option<String>>(2)? {
                people.by_id.insert(id, person);
            }
            people.by_account.insert(row.get(3)?, person);
        }
        Ok(people)
    }

    /// As [`super::found::member`] tells who a member is.
    fn among(&self, members: &[(Option<String>, Option<String>)]) -> Vec<Person> {
        let mut met = HashSet::new();
        let who = members.iter().filter_map(|(id, account)| {
            let by_id = id.as_ref().and_then(|id| self.by_id.get(id));
            let by_account = || self.by_account.get(&account.as_ref()?.to_lowercase());
            by_id.or_else(by_account)
        });
        who.filter(|person| met.insert(person.key))
            .copied()
            .collect()
    }
}

async fn learn(
    (writer, readers): (&Writer, &Arc<Readers>),
    import: Import,
    reading: Reading,
    (found, taken): (Vec<FoundGroup>, Arc<TakenOut>),
) -> std::result::Result<Vec<Lane>, StoreError> {
    let c = import.connection;
    let people = readers.read_apart(move |db| People::of(db, c)).await?;
    for group in found {
        let who = people.among(&group.members);
        if who.is_empty() || group.read_only.is_some() {
            continue;
        }
        let name = group.row.upstream_name.clone();
        let key = readers.read_apart(move |db| key_of(db, c, &name)).await?;
        let key = match key {
            Some(key) => Some(key),
            // Out of one that nobody has seen here somebody is to be taken.
            None if who.iter().any(|person| person.leaves) => {
                let name = group.row.upstream_name.clone();
                import::import_group(writer, group, &import, &mut Vec::new()).await?;
                readers.read_apart(move |db| key_of(db, c, &name)).await?
            }
            None => None,
        };
        let Some(key) = key else { continue };
        let who = but_taken_out((writer, readers), (c, key), who).await?;
        for portion in who.chunks(PORTION) {
            let (portion, by, taken) = (portion.to_vec(), import.clone(), Arc::clone(&taken));
            let write = writer.write(move |db| make_members(db, key, (&portion, &taken), &by));
            write.await?;
        }
    }
    Ok(writer.write(move |db| end(db, c, reading)).await?)
}

/// The group of a name, or one that is deleted here and is there still.
fn key_of(db: &Connection, connection: i64, name: &str) -> Result<Option<i64>> {
    Ok(db
        .prepare_cached(
            "SELECT key FROM groups WHERE connection = ?1 AND upstream_name = ?2
               AND existence = 1 AND read_only IS NULL
             ORDER BY tombstone IS NOT NULL LIMIT 1",
        )?
        .query_row(params![connection, name], |row| row.get(0))
        .optional()?)
}

/// Whose access goes on and who was taken out here is shown by a read that lags, or was
/// given it back: nobody is a member again by that.
async fn but_taken_out(
    (writer, readers): (&Writer, &Arc<Readers>),
    (c, group): (i64, i64),
    mut who: Vec<Person>,
) -> std::result::Result<Vec<Person>, StoreError> {
    let stay = who.iter().filter(|person| !person.leaves);
    let stay: Vec<Newcomer> = stay.map(|person| (person.key, person.id)).collect();
    if stay.is_empty() {
        return Ok(who);
    }
    while writer.write(move |db| said::keep(db, group)).await? {}
    let taken = readers.read_apart(move |db| given_back::taken_out(db, (c, group), &stay));
    let taken = taken.await?;
    who.retain(|person| person.leaves || !taken.contains(&person.key));
    Ok(who)
}

fn make_members(
    db: &Connection,
    key: i64,
    (who, taken): (&[Person], &TakenOut),
    import: &Import,
) -> Result<()> {
    let there =
        |group: &groups::Group| group.read_only.is_none() && group.existence == Existence::Present;
    let Some(mut group) = groups::by_key(db, key)?.filter(there) else {
        return Ok(());
    };
    // Perhaps it shows who was in it before, or in the one before it of that name.
    let outdated = import::was_turned(db, key, import)?;
    let taken_lately = match outdated {
        true => taken_lately(db, &group, who, import)?,
        false => HashSet::new(),
    };
    let (mut added, mut met) = (0, 0);
    for person in who {
        // It may have been written, or have left, since it was read.
        let Some(user) = users::by_key(db, person.key)? else {
            continue;
        };
        let known = db
            .prepare_cached("SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2")?
            .exists([key, person.key])?;
        let deleted = user.tombstone.is_some();
        if known || user.account_key.is_none() || deleted != person.deleted {
            continue;
        }
        let leaves = !user.account.active && user.withdrawn != Withdrawal::No;
        let loses = leaves || deleted || taken.has(ResourceId::from_bytes(person.id));
        // Nor is anybody a member again whom it shows from before a removal of ours,
        // should the request that takes them out not be carried out.
        let may_stay = !leaves && !deleted && taken_lately.contains(&person.key);
        if outdated && (!loses || may_stay) {
            note(db, person.key)?;
            continue;
        }
        if deleted {
            if seats::is_anothers(db, person.key, key)? {
                continue;
            }
            db.prepare_cached(
                "INSERT INTO memberships
                     (group_key, user_key, user_id, desired, observed, managed, seq)
                 VALUES (?1, ?2, ?3, 0, 1, 1, ?4)",
            )?
            .execute(params![key, person.key, person.id, group.seq])?;
            met += 1;
        } else if (leaves || group.tombstone.is_none())
            && import::find_member(
                db,
                &mut group,
                (person.key, person.id),
                (!loses).then_some(import.since),
            )?
        {
            added += 1;
            met += 1;
            if outdated {
                // Enough to take them out, and not to believe that they are there.
                db.prepare_cached(
                    "UPDATE memberships SET missing = 1 WHERE group_key = ?1 AND user_key = ?2",
                )?
                .execute([key, person.key])?;
            }
            if leaves {
                // This was the look.
                db.prepare_cached(
                    "UPDATE memberships SET found = 2 WHERE group_key = ?1 AND user_key = ?2",
                )?
                .execute([key, person.key])?;
            }
        }
    }
    group.strangers = (group.strangers - met).max(0);
    if added > 0 {
        import::save_found(db, &mut group, import)?;
        import::record_found(db, key, false, (added, 0), import)?;
    } else if met > 0 {
        groups::save(db, &group)?;
    }
    Ok(())
}

/// Those of whom is known why they are shown in a group that they are no members of: they
/// were taken out of it since, or were in another one that was deleted since.
fn taken_lately(
    db: &Connection,
    group: &groups::Group,
    who: &[Person],
    import: &Import,
) -> Result<HashSet<i64>> {
    let was_another = db
        .prepare_cached(
            "SELECT 1 FROM groups WHERE connection = ?1 AND upstream_name = ?2
               AND tombstone IS NOT NULL AND key <> ?3 AND turned > ?4",
        )?
        .exists(params![
            group.connection,
            group.upstream_name,
            group.key,
            import.since
        ])?;
    if was_another {
        return Ok(who.iter().map(|person| person.key).collect());
    }
    let users: Vec<Newcomer> = who.iter().map(|person| (person.key, person.id)).collect();
    given_back::taken_since(db, (group.connection, group.key), &users, import.since)
}

/// What the reading has shown of leavers is taken away; of whom it tells, it is known now
/// what they have.
fn end(db: &Connection, connection: i64, reading: Reading) -> Result<Vec<Lane>> {
    let leavers: Vec<i64> = db
        .prepare_cached(
            "SELECT u.key FROM linked l JOIN users u ON u.key = l.user_key
             WHERE u.connection = ?1 AND u.wants = 0 AND u.withdrawn <> 0",
        )?
        .query_map([connection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut lanes = Vec::new();
    for key in &leavers {
        let Some(mut user) = users::by_key(db, *key)? else {
            continue;
        };
        if user.tombstone.is_none() && user.withdrawn == Withdrawal::Begun {
            lanes.extend(withdrawal::begin(db, &mut user, false)?);
        }
        let groups = lanes::open_groups_of(db, *key)?;
        lanes.extend(groups.into_iter().map(Lane::Group));
        lanes.extend(
            withdrawal::open_groups(db, *key)?
                .into_iter()
                .map(Lane::Group),
        );
    }
    if !reading.whole {
        return Ok(lanes);
    }
    db.prepare_cached(
        "DELETE FROM linked WHERE number <= iif(waits = 1, ?2, ?3)
           AND user_key IN (SELECT key FROM users WHERE connection = ?1)",
    )?
    .execute([connection, reading.began.0, reading.since.0])?;
    for key in leavers {
        lanes.push(Lane::User(UserKey(key)));
        lanes.extend(lanes::finish_all(db, [key])?);
    }
    Ok(lanes)
}

fn unsure_in(
    db: &Connection,
    connection: i64,
    group: ResourceId,
    taken: &TakenOut,
) -> Result<Option<Unsure>> {
    let group: Option<(i64, String)> = db
        .prepare_cached(
            "SELECT key, upstream_name FROM groups
             WHERE connection = ?1 AND id = ?2 AND tombstone IS NULL AND read_only IS NULL
               AND existence = 1",
        )?
        .query_row(params![connection, group.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((key, name)) = group else {
        return Ok(None);
    };
    let mut select = db.prepare_cached(
        "SELECT u.id, l.number FROM linked l JOIN users u ON u.key = l.user_key
         WHERE u.connection = ?1 AND u.tombstone IS NULL AND u.existence = 1
           AND NOT EXISTS (SELECT 1 FROM memberships m
               WHERE m.group_key = ?2 AND m.user_key = u.key)",
    )?;
    let linked = select.query_map([connection, key], |row| Ok((id_at(row, 0)?, row.get(1)?)))?;
    let mut last = None;
    for one in linked {
        let (id, number) = one?;
        if taken.has(id) {
            last = last.max(Some(number));
        }
    }
    Ok(last.map(|number| Unsure {
        group: GroupKey(key),
        name,
        number: ImportMark(number),
    }))
}

#[async_trait]
impl Linked for Sqlite {
    async fn anyone_linked(&self, c: ConnectionKey) -> std::result::Result<bool, StoreError> {
        let any = "SELECT 1 FROM linked l JOIN users u ON u.key = l.user_key
             WHERE u.connection = ?1";
        let read = |db: &Connection| Ok(db.prepare_cached(any)?.exists([c.0])?);
        Ok(self.readers.read(read)?)
    }

    async fn leavers_unread(&self, c: ConnectionKey) -> std::result::Result<bool, StoreError> {
        let read = |db: &Connection| Ok(db.prepare_cached(LEAVERS)?.exists([c.0])?);
        Ok(self.readers.read(read)?)
    }

    async fn is_leaver_unread(&self, user: UserKey) -> std::result::Result<bool, StoreError> {
        let sql = concat!(
            "SELECT 1 FROM users u WHERE u.key = ?1 AND u.withdrawn = 1 AND u.wants = 0 AND ",
            unread!()
        );
        let read = |db: &Connection| Ok(db.prepare_cached(sql)?.exists([user.0])?);
        Ok(self.readers.read(read)?)
    }

    async fn unsure_in(
        &self,
        c: ConnectionKey,
        group: ResourceId,
        taken: Arc<TakenOut>,
    ) -> std::result::Result<Option<Unsure>, StoreError> {
        let read = |db: &Connection| unsure_in(db, c.0, group, &taken);
        Ok(self.readers.read(read)?)
    }

    async fn learn_linked(
        &self,
        c: ConnectionKey,
        reading: Reading,
        (groups, taken): (Vec<FoundGroup>, Arc<TakenOut>),
        actor: Actor,
    ) -> std::result::Result<Vec<Lane>, StoreError> {
        let import = Import {
            connection: c.0,
            since: reading.since.0,
            mirror: false,
            actor,
        };
        learn(
            (&self.writer, &self.readers),
            import,
            reading,
            (groups, taken),
        )
        .await
    }
}
