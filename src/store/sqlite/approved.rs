//! What an approval is for: an operator has seen whom a held request takes away, and
//! whom it adds, and nobody else goes or comes by it. Who was asked for otherwise since
//! is as if not shown, so that the last word is not undone unseen.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    plan::guard::{Anew, Deed, Effect, Moved, Over},
    scim::{patch::MemberChange, resource::ResourceId},
    store::{Actor, HoldId, Watch, WriteError},
};

use super::{fault::Result, groups::Group, row::id_at, users::User};

/// What was shown of a held request.
pub(super) struct Shown {
    pub(super) over: Over,
    removed: u64,
    moved: Moved,
}

pub(super) fn shown(db: &Connection, connection: i64, hold: HoldId) -> Result<Shown> {
    let found = db
        .prepare_cached(
            "SELECT over, plan, takes, gives FROM held WHERE connection = ?1 AND id = ?2",
        )?
        .query_row(params![connection, hold.0.as_bytes()], |row| {
            let ids = |column| row.get::<_, Option<Vec<u8>>>(column);
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                Moved {
                    takes: unpacked(ids(2)?),
                    gives: unpacked(ids(3)?),
                },
            ))
        })
        .optional()?;
    let (over, plan, moved) = found.ok_or(WriteError::Missing)?;
    let plan: Effect = serde_json::from_str(&plan)?;
    Ok(Shown {
        over: serde_json::from_str(&over)?,
        removed: plan.removed,
        moved,
    })
}

impl Shown {
    /// Of how many more it is by now, if it is; who is only in the application counts
    /// in the deletion of a group, and has no id here.
    pub(super) fn misses(&self, effect: &Effect, moved: &Moved) -> Option<Anew> {
        let more = match effect.act {
            Deed::Delete => effect.removed.saturating_sub(self.removed),
            Deed::Change | Deed::Deactivate | Deed::Lower => 0,
        };
        let anew = Anew {
            takes: beside(&moved.takes, &self.moved.takes).max(more),
            gives: beside(&moved.gives, &self.moved.gives),
        };
        (anew.takes > 0 || anew.gives > 0).then_some(anew)
    }
}

/// How many are not among those who were shown, who are in order.
fn beside(ids: &[ResourceId], shown: &[ResourceId]) -> u64 {
    let unshown = ids.iter().filter(|id| shown.binary_search(id).is_err());
    unshown.count() as u64
}

pub(super) fn packed(ids: &[ResourceId]) -> Vec<u8> {
    let mut ids: Vec<_> = ids.iter().collect();
    ids.sort_unstable();
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

fn unpacked(ids: Option<Vec<u8>>) -> Vec<ResourceId> {
    let ids = ids.unwrap_or_default();
    let (ids, _) = ids.as_chunks();
    ids.iter().copied().map(ResourceId::from_bytes).collect()
}

/// Whoever is written and stays active is asked for, whatever waits to end or lower them.
pub(super) fn user_is_asked_for(db: &Connection, user: &User, actor: &Actor) -> Result<()> {
    if user.account.active && matches!(actor.watch, Watch::On(_)) {
        db.prepare_cached("UPDATE held SET takes = NULL WHERE target = ?1 AND state = 'open'")?
            .execute([user.id.as_bytes()])?;
    }
    Ok(())
}

/// Whom a change of a group says to be in it and not to be, as far as that can be
/// otherwise than a held request says.
pub(super) struct Wishes {
    holds: Vec<ResourceId>,
    joins: HashSet<ResourceId>,
    leaves: HashSet<ResourceId>,
    /// Nobody else is to be in it.
    whole: bool,
}

/// `None` where nothing is held of it.
pub(super) fn wishes(
    db: &Connection,
    group: &Group,
    changes: &[MemberChange],
    actor: &Actor,
) -> Result<Option<Wishes>> {
    if changes.is_empty() || !matches!(actor.watch, Watch::On(_)) {
        return Ok(None);
    }
    let holds: Vec<ResourceId> = db
        .prepare_cached("SELECT id FROM held WHERE target = ?1 AND state = 'open'")?
        .query_map([group.id.as_bytes()], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    if holds.is_empty() {
        return Ok(None);
    }
    let mut wishes = Wishes {
        holds,
        joins: HashSet::new(),
        leaves: HashSet::new(),
        whole: false,
    };
    changes.iter().for_each(|change| wishes.note(change));
    Ok(Some(wishes))
}

impl Wishes {
    fn note(&mut self, change: &MemberChange) {
        let parsed = |ids: &[String]| {
            let ids = ids.iter().filter_map(|id| ResourceId::parse(id));
            ids.collect::<Vec<_>>()
        };
        match change {
            MemberChange::Add(ids) => {
                for id in parsed(ids) {
                    self.leaves.remove(&id);
                    self.joins.insert(id);
                }
            }
            MemberChange::Remove(ids) => {
                for id in parsed(ids) {
                    self.joins.remove(&id);
                    self.leaves.insert(id);
                }
            }
            MemberChange::RemoveAll => self.is_whole(Vec::new()),
            MemberChange::Replace(ids) => self.is_whole(parsed(ids)),
            // Who goes by that is known afterwards.
            MemberChange::RemoveWhere(_) => {}
            MemberChange::Hitting(change) => self.note(change),
        }
    }

    fn is_whole(&mut self, ids: Vec<ResourceId>) {
        self.joins = ids.into_iter().collect();
        self.leaves.clear();
        self.whole = true;
    }

    /// The change was made, and these went by it.
    pub(super) fn forget_shown(&mut self, db: &Connection, removed: &[ResourceId]) -> Result<()> {
        for id in removed {
            self.joins.remove(id);
            self.leaves.insert(*id);
        }
        for hold in &self.holds {
            let (takes, gives) = db
                .prepare_cached("SELECT takes, gives FROM held WHERE id = ?1")?
                .query_row([hold.as_bytes()], |row| {
                    Ok((unpacked(row.get(0)?), unpacked(row.get(1)?)))
                })?;
            let mut left = Moved { takes, gives };
            let before = (left.takes.len(), left.gives.len());
            left.takes.retain(|id| !self.joins.contains(id));
            left.gives.retain(|id| {
                let out = self.leaves.contains(id) || self.whole && !self.joins.contains(id);
                !out
            });
            if before != (left.takes.len(), left.gives.len()) {
                db.prepare_cached("UPDATE held SET takes = ?2, gives = ?3 WHERE id = ?1")?
                    .execute(params![
                        hold.as_bytes(),
                        packed(&left.takes),
                        packed(&left.gives)
                    ])?;
            }
        }
        Ok(())
    }
}
