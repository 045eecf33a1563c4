//! Somebody has arrived in a group that a guard rail watches. Whoever was kept there,
//! as too few would have stayed, and is deleted here is tried once more then: nobody
//! can ask for that again (reliability: I-24).

use rusqlite::{Connection, params};

use crate::{
    plan::state::{GroupKey, UserKey},
    store::{GroupLearned, KEPT, Lane},
};

use super::{
    fault::Result,
    groups::Group,
    users,
    withdrawal::{self, Withdrawal},
};

/// Those whose end was refused, and those of whom the removal alone was.
const KEPT_IN: &str = "SELECT u.key FROM users u JOIN memberships m ON m.user_key = u.key
     WHERE u.connection = ?1 AND u.tombstone IS NOT NULL AND u.account_key IS NOT NULL
       AND m.group_key = ?2 AND m.observed <> 0 AND substr(u.refused, -length(?3)) = ?3
     UNION
     SELECT u.key FROM refusals r JOIN users u ON u.key = r.user_key
     WHERE r.group_key = ?2 AND r.wanted = 0 AND u.tombstone IS NOT NULL
       AND substr(r.reason, -length(?3)) = ?3";

/// Returns the lanes that have work because of it.
pub(super) fn try_again(
    db: &Connection,
    group: &Group,
    learned: &GroupLearned,
) -> Result<Vec<Lane>> {
    if learned.present.is_empty() || group.tombstone.is_some() {
        return Ok(Vec::new());
    }
    let kept: Vec<i64> = db
        .prepare_cached(KEPT_IN)?
        .query_map(params![group.connection, group.key, KEPT], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut lanes = Vec::new();
    for key in kept {
        let Some(mut user) = users::by_key(db, key)? else {
            continue;
        };
        if user.withdrawn == Withdrawal::No {
            user.refused = None;
            users::save(db, &user)?;
        } else {
            withdrawal::resume(db, (group.key, key))?;
            lanes.push(Lane::Group(GroupKey(group.key)));
        }
        lanes.push(Lane::User(UserKey(key)));
    }
    Ok(lanes)
}
