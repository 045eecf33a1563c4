//! Membership from the user's side: the groups a user is a direct member of,
//! by the index on users. What the identity provider wants is what is told,
//! as everywhere, not what the application has confirmed so far.
//!
//! Reads of users are the most frequent there are, and most users of a page
//! are in the same few groups: one user is one statement, a page's users one
//! walk along the index, and a group is read once for all of them.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params, types::ValueRef};

use crate::{
    scim::{groups::DirectGroup, resource::ResourceId},
    store::Resource,
};

use super::{
    fault::Result,
    read::{self, Moment},
    row::id_at,
};

/// The groups of a user that are read where they are asked for; more than
/// that is work for a thread of its own.
pub(super) const FEW: usize = 64;

/// One statement, so that all of it is of one moment.
const USER: &str = "SELECT u.id, u.version, u.created, u.modified, u.attributes,
            g.id, g.attributes ->> '$.displayName'
     FROM users u
     LEFT JOIN memberships m ON m.user_key = u.key AND m.desired = 1
     LEFT JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
     WHERE u.id = ?1 AND u.connection = ?2 AND u.tombstone IS NULL
     ORDER BY m.group_key LIMIT ?3";

const LINKS: &str = "SELECT user_key, group_key FROM memberships
     WHERE user_key BETWEEN ?1 AND ?2 AND desired = 1 ORDER BY user_key, group_key";

const GROUP: &str = "SELECT id, attributes ->> '$.displayName' FROM groups
     WHERE key = ?1 AND tombstone IS NULL";

/// The key of no user.
const NOBODY: i64 = i64::MIN;

/// Groups of a user, and whether there may be more than were asked for.
pub(super) struct GroupsOfUser {
    pub(super) these: Vec<DirectGroup>,
    pub(super) more: bool,
}

/// A live user with its groups, or with as many as are asked for.
pub(super) fn user(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    most: Option<usize>,
) -> Result<Option<(Resource, GroupsOfUser)>> {
    let limit = most.and_then(|most| i64::try_from(most + 1).ok());
    let mut statement = db.prepare_cached(USER)?;
    let mut rows = statement.query(params![id.as_bytes(), connection, limit.unwrap_or(-1)])?;
    let Some(first) = rows.next()? else {
        return Ok(None);
    };
    let user = read::resource_at(first)?;
    let (mut these, mut count) = (Vec::new(), 0);
    let mut row = Some(first);
    while let Some(link) = row {
        count += 1;
        if link.get_ref(5)? != ValueRef::Null {
            these.push(group_at(link, 5)?);
        }
        row = rows.next()?;
    }
    let more = most.is_some_and(|most| count > most);
    Ok(Some((user, GroupsOfUser { these, more })))
}

/// The groups of users, in order, until there are `most` of them.
pub(super) fn groups_of(
    db: &Connection,
    connection: i64,
    users: &[ResourceId],
    most: usize,
) -> Result<Vec<Vec<DirectGroup>>> {
    let moment = Moment::begin(db)?;
    let mut key =
        moment.prepare_cached("SELECT key FROM users WHERE id = ?1 AND connection = ?2")?;
    let mut keys = Vec::with_capacity(users.len());
    for user in users {
        let found = key.query_row(params![user.as_bytes(), connection], |row| row.get(0));
        keys.push(found.optional()?.unwrap_or(NOBODY));
    }
    groups_by_key(&moment, &keys, most)
}

/// The same by the users' keys. Users that were made one after the other are
/// read together.
pub(super) fn groups_by_key(
    db: &Connection,
    users: &[i64],
    most: usize,
) -> Result<Vec<Vec<DirectGroup>>> {
    let mut groups = Groups::new(db)?;
    let mut links = db.prepare_cached(LINKS)?;
    let mut of_all: Vec<Vec<DirectGroup>> = Vec::with_capacity(users.len());
    let mut read = 0;
    for run in users.chunk_by(|a, b| b.checked_sub(1) == Some(*a)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        if read >= most && !of_all.is_empty() {
            break;
        }
        let told = of_all.len();
        of_all.resize(told + run.len(), Vec::new());
        let mut rows = links.query([first, last])?;
        while let Some(row) = rows.next()? {
            let user: i64 = row.get(0)?;
            let place = told + usize::try_from(user - first).unwrap_or_default();
            let Some(of_user) = of_all.get_mut(place) else {
                continue;
            };
            if read >= most && place > 0 && of_user.is_empty() {
                of_all.truncate(place);
                break;
            }
            if let Some(group) = groups.find(row.get(1)?)? {
                of_user.push(group.clone());
                read += 1;
            }
        }
    }
    Ok(of_all)
}

/// Groups that were read already, by key; `None` is one that is gone.
struct Groups<'db> {
    statement: CachedStatement<'db>,
    known: HashMap<i64, Option<DirectGroup>>,
}

impl<'db> Groups<'db> {
    fn new(db: &'db Connection) -> Result<Self> {
        Ok(Self {
            statement: db.prepare_cached(GROUP)?,
            known: HashMap::new(),
        })
    }

    fn find(&mut self, key: i64) -> Result<Option<&DirectGroup>> {
        if !self.known.contains_key(&key) {
            let found = self.statement.query_row([key], |row| group_at(row, 0));
            self.known.insert(key, found.optional()?);
        }
        Ok(self.known.get(&key).and_then(Option::as_ref))
    }
}

/// A group from `id, displayName`.
fn group_at(row: &Row<'_>, first: usize) -> rusqlite::Result<DirectGroup> {
    Ok(DirectGroup {
        id: id_at(row, first)?,
        display: row.get::<_, Option<String>>(first + 1)?.unwrap_or_default(),
    })
}
