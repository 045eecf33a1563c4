//! What the clients of a world of roles ask for, and what may hold because of
//! it: an act whose answer nobody heard may have counted, or not.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Kind, accounts,
    application::{FAMILIES, ROLES, Roles, name_of},
};
use crate::{
    bridge::tests::world::{below, now, pick},
    upstream::Millis,
};

/// Requests of one client, which asks about users of its own.
const STEPS: usize = 16;

#[derive(Debug, Clone)]
pub(super) enum Act {
    Create(String),
    Delete(String),
    Activate(String, bool),
    Add(String, BTreeSet<String>),
    Remove(String, BTreeSet<String>),
}

/// Every value that may hold.
pub(super) type May = BTreeSet<bool>;

/// Values that may hold, and those that might before, since when.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<(Millis, May)>);

impl Values {
    fn set(&mut self, value: bool, sure: bool) {
        let mut may = match self.0.last() {
            Some((_, may)) if !sure => may.clone(),
            None if !sure => May::from([false]),
            _ => May::new(),
        };
        may.insert(value);
        self.0.push((now(), may));
    }

    /// When it held for sure for the first time.
    pub(super) fn first(&self, value: bool) -> Option<Millis> {
        let sure = May::from([value]);
        self.0
            .iter()
            .find(|(_, may)| *may == sure)
            .map(|(at, _)| *at)
    }

    pub(super) fn may(&self, value: bool) -> bool {
        self.0.last().is_some_and(|(_, may)| may.contains(&value))
    }

    pub(super) fn is(&self, value: bool) -> bool {
        self.was(value, Millis::MAX)
    }

    /// Whether it held for sure at some time.
    pub(super) fn was(&self, value: bool, at: Millis) -> bool {
        let before = self.0.iter().rev().find(|(since, _)| *since <= at);
        before.is_some_and(|(_, may)| *may == May::from([value]))
    }

    /// Whether it may have held at any time between two.
    pub(super) fn might(&self, value: bool, (from, to): (Millis, Millis)) -> bool {
        let ends = self.0.iter().skip(1).map(|(since, _)| *since);
        let spans = self.0.iter().zip(ends.chain([Millis::MAX]));
        let mut of = spans.filter(|((since, _), end)| *since <= to && *end > from);
        of.any(|((_, may), _)| may.contains(&value))
    }
}

/// What a client knows of what it asked for: of users, and of pairs.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) exists: BTreeMap<String, Values>,
    pub(super) active: BTreeMap<String, Values>,
    pub(super) pairs: BTreeMap<(String, String), Values>,
    /// Whoever was ever asked to have a role, and since when.
    pub(super) ever: BTreeMap<(String, String), Millis>,
    /// When something about a user was last left to be done.
    pub(super) pending: BTreeMap<String, Millis>,
    /// Whoever was ever asked to have a role no more.
    pub(super) removed: BTreeSet<(String, String)>,
}

impl Asked {
    fn set<K: Ord>(of: &mut BTreeMap<K, Values>, key: K, value: bool, sure: bool) {
        of.entry(key).or_default().set(value, sure);
    }

    /// Whether a user may have been asked for in any group of a family meanwhile.
    pub(super) fn might_have(&self, user: &str, family: &str, when: (Millis, Millis)) -> bool {
        let mut groups = (0..ROLES.len()).map(|rank| name_of(family, rank));
        groups.any(|group| {
            let pair = self.pairs.get(&(group, user.to_owned()));
            pair.is_some_and(|asked| asked.might(true, when))
        })
    }

    /// Takes an act in: it counts, or it may.
    pub(super) fn note(&mut self, act: &Act, sure: bool) {
        let roles = || {
            FAMILIES
                .iter()
                .flat_map(|family| (0..ROLES.len()).map(|rank| name_of(family, rank)))
        };
        match act {
            Act::Create(user) => {
                Self::set(&mut self.exists, user.clone(), true, sure);
                Self::set(&mut self.active, user.clone(), true, sure);
            }
            Act::Delete(user) => {
                Self::set(&mut self.exists, user.clone(), false, sure);
                // Its first step is to be inactive.
                Self::set(&mut self.active, user.clone(), false, false);
                for group in roles() {
                    self.removed.insert((group.clone(), user.clone()));
                    Self::set(&mut self.pairs, (group, user.clone()), false, sure);
                }
            }
            Act::Activate(user, on) => Self::set(&mut self.active, user.clone(), *on, sure),
            Act::Add(group, users) | Act::Remove(group, users) => {
                for user in users {
                    let on = matches!(act, Act::Add(..));
                    let pair = (group.clone(), user.clone());
                    if on {
                        self.ever.entry(pair.clone()).or_insert_with(now);
                    } else {
                        self.removed.insert(pair.clone());
                    }
                    Self::set(&mut self.pairs, pair, on, sure);
                }
            }
        }
    }
}

fn draw(app: &Roles, own: &[String]) -> Act {
    let user = pick(own).clone();
    let family = *pick::<&str>(&FAMILIES);
    let group = name_of(family, *pick(app.ranks(family)));
    let some: BTreeSet<String> = (0..=below(2)).map(|_| pick(own).clone()).collect();
    match below(20) {
        0..8 => Act::Add(group, some),
        8..14 => Act::Remove(group, some),
        14..16 => Act::Activate(user, false),
        16..18 => Act::Activate(user, true),
        18 => Act::Create(user),
        _ => Act::Delete(user),
    }
}

/// In the order of being popped.
pub(super) fn script(kind: Kind, app: &Roles, client: usize) -> Vec<Act> {
    let own: Vec<String> = accounts().into_iter().skip(2 * client).take(2).collect();
    let mut acts: Vec<Act> = own.iter().cloned().map(Act::Create).collect();
    acts.extend((0..STEPS).map(|_| draw(app, &own)));
    if kind.finds() {
        once_only(&mut acts);
    }
    acts.reverse();
    acts
}

/// Who is deleted is not made again: whose account that would be cannot be told.
fn once_only(acts: &mut Vec<Act>) {
    let mut gone = BTreeSet::new();
    acts.retain(|act| match act {
        Act::Create(user) => !gone.contains(user),
        Act::Delete(user) => {
            gone.insert(user.clone());
            true
        }
        _ => true,
    });
}
