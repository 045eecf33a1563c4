//! What an approval is for: an operator has seen whom a held request takes away, and
//! whom it adds, and nobody else goes or comes by it. Who was asked for otherwise since
//! is as if not shown, so that the last word is not undone unseen; and so is an attribute
//! that has another value than it had.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::{
    plan::guard::{Anew, Deed, Effect, Moved, Over},
    scim::{
        patch::MemberChange,
        resource::{
            Attributes, ResourceId,
            ResourceType::{Group, User},
        },
    },
    store::{Actor, HoldId, Watch, WriteError},
};

use super::{fault::Result, groups, row::id_at, users};

/// What was shown of a held request.
pub(super) struct Shown {
    pub(super) over: Over,
    removed: u64,
    takes: Vec<ResourceId>,
    gives: Vec<ResourceId>,
    sets: Vec<[u8; 32]>,
}

pub(super) fn shown(db: &Connection, connection: i64, hold: HoldId) -> Result<Shown> {
    let found = db
        .prepare_cached(
            "SELECT over, plan, takes, gives, sets FROM held WHERE connection = ?1 AND id = ?2",
        )?
        .query_row(params![connection, hold.0.as_bytes()], |row| {
            let text = |column| row.get::<_, String>(column);
            let bytes = |column| row.get::<_, Option<Vec<u8>>>(column);
            Ok((text(0)?, text(1)?, bytes(2)?, bytes(3)?, bytes(4)?))
        })
        .optional()?;
    let (over, plan, takes, gives, sets) = found.ok_or(WriteError::Missing)?;
    let plan: Effect = serde_json::from_str(&plan)?;
    let sets = sets.unwrap_or_default();
    let (sets, _) = sets.as_chunks();
    Ok(Shown {
        over: serde_json::from_str(&over)?,
        removed: plan.removed,
        takes: unpacked(takes),
        gives: unpacked(gives),
        sets: sets.to_vec(),
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
        let (takes, groups) = match effect.of {
            Group => (beside(&moved.takes, &self.takes).max(more), 0),
            User => {
                let (user, groups): (Vec<_>, Vec<_>) =
                    moved.takes.iter().partition(|id| **id == effect.id);
                (beside(user, &self.takes), beside(groups, &self.takes))
            }
        };
        let unshown = |(_, was): &(&String, &[u8; 32])| !self.sets.contains(was);
        let anew = Anew {
            takes,
            gives: beside(&moved.gives, &self.gives),
            groups,
            sets: moved
                .sets
                .iter()
                .filter(unshown)
                .map(|(name, _)| name.clone())
                .collect(),
        };
        (!anew.is_nothing()).then_some(anew)
    }
}

/// How many are not among those who were shown, who are in order.
fn beside<'i>(ids: impl IntoIterator<Item = &'i ResourceId>, shown: &[ResourceId]) -> u64 {
    let unshown = |id: &&ResourceId| shown.binary_search(id).is_err();
    ids.into_iter().filter(unshown).count() as u64
}

/// What becomes otherwise, and how it was.
pub(super) fn sets(before: &Attributes, after: &Attributes) -> BTreeMap<String, [u8; 32]> {
    let names = before.0.keys().chain(after.0.keys());
    let differs = |name: &&String| before.0.get(*name) != after.0.get(*name);
    let was = |name: &String| {
        let was = before.0.get(name).map(ToString::to_string);
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([0])
            .chain_update(was.unwrap_or_default());
        (name.clone(), digest.finalize().into())
    };
    names.filter(differs).map(was).collect()
}

pub(super) fn packed_sets(sets: &BTreeMap<String, [u8; 32]>) -> Vec<u8> {
    sets.values().flatten().copied().collect()
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
pub(super) fn user_is_asked_for(db: &Connection, user: &users::User, actor: &Actor) -> Result<()> {
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
    group: &groups::Group,
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
            let (mut takes, mut gives) = db
                .prepare_cached("SELECT takes, gives FROM held WHERE id = ?1")?
                .query_row([hold.as_bytes()], |row| {
                    Ok((unpacked(row.get(0)?), unpacked(row.get(1)?)))
                })?;
            let before = (takes.len(), gives.len());
            takes.retain(|id| !self.joins.contains(id));
            gives.retain(|id| {
                let out = self.leaves.contains(id) || self.whole && !self.joins.contains(id);
                !out
            });
            if before != (takes.len(), gives.len()) {
                db.prepare_cached("UPDATE held SET takes = ?2, gives = ?3 WHERE id = ?1")?
                    .execute(params![hold.as_bytes(), packed(&takes), packed(&gives)])?;
            }
        }
        Ok(())
    }
}
