//! Membership from the user's side: the groups a user is a direct member of,
//! by the index on users. What the identity provider wants is what is told,
//! as everywhere, not what the application has confirmed so far.

use rusqlite::{Connection, params};

use crate::scim::{groups::DirectGroup, resource::ResourceId};

use super::{fault::Result, row::id_at};

/// The groups of a user that are read where they are asked for; more than
/// that is work for a thread of its own.
const FEW: usize = 64;

// The order of the joins is fixed: from the one user along the index.
const GROUPS: &str = "SELECT g.id, g.attributes ->> '$.displayName'
     FROM users u
     CROSS JOIN memberships m ON m.user_key = u.key AND m.desired = 1
     CROSS JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
     WHERE u.id = ?1 AND u.connection = ?2 ORDER BY m.group_key LIMIT ?3";

/// The groups of one user, unless there are many.
pub(super) fn few_groups_of(
    db: &Connection,
    connection: i64,
    user: ResourceId,
) -> Result<Option<Vec<DirectGroup>>> {
    let groups = of_user(db, connection, user, FEW + 1)?;
    Ok((groups.len() <= FEW).then_some(groups))
}

/// The groups of users, in order, until there are `most` of them.
pub(super) fn groups_of(
    db: &Connection,
    connection: i64,
    users: &[ResourceId],
    most: usize,
) -> Result<Vec<Vec<DirectGroup>>> {
    let mut of_all = Vec::with_capacity(users.len());
    let mut read = 0;
    for user in users {
        if read >= most {
            break;
        }
        let groups = of_user(db, connection, *user, usize::MAX)?;
        read += groups.len();
        of_all.push(groups);
    }
    Ok(of_all)
}

fn of_user(
    db: &Connection,
    connection: i64,
    user: ResourceId,
    most: usize,
) -> Result<Vec<DirectGroup>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(GROUPS)?;
    let rows = statement.query_map(params![user.as_bytes(), connection, most], |row| {
        Ok(DirectGroup {
            id: id_at(row, 0)?,
            display: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
