//! What the clients of a world of roles ask for, and what may hold because of
//! it: an act whose answer nobody heard may have counted, or not.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    accounts,
    application::{FAMILIES, ROLES, name_of},
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

/// What a client knows of what it asked for: of users, and of pairs.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) exists: BTreeMap<String, May>,
    pub(super) active: BTreeMap<String, May>,
    pub(super) pairs: BTreeMap<(String, String), May>,
    /// Whoever was ever asked to have a role, and since when.
    pub(super) ever: BTreeMap<(String, String), Millis>,
    /// When something about a user was last left to be done.
    pub(super) pending: BTreeMap<String, Millis>,
}

impl Asked {
    fn set<K: Ord>(of: &mut BTreeMap<K, May>, key: K, value: bool, sure: bool) {
        let may = of.entry(key).or_insert_with(|| May::from([false]));
        if sure {
            may.clear();
        }
        may.insert(value);
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
                    }
                    Self::set(&mut self.pairs, pair, on, sure);
                }
            }
        }
    }
}

fn draw(own: &[String]) -> Act {
    let user = pick(own).clone();
    let group = name_of(
        pick::<&str>(&FAMILIES),
        usize::try_from(below(ROLES.len() as u64)).unwrap(),
    );
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
pub(super) fn script(client: usize) -> Vec<Act> {
    let own: Vec<String> = accounts().into_iter().skip(2 * client).take(2).collect();
    let mut acts: Vec<Act> = own.iter().cloned().map(Act::Create).collect();
    acts.extend((0..STEPS).map(|_| draw(&own)));
    acts.reverse();
    acts
}
