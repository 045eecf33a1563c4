//! Somebody in the application who gives roles by hand, mostly to whom a call of
//! the bridge was refused, while other calls about them may land yet. What was
//! given so stays, unless a call whose outcome is not known could have given just
//! that (also one of which the bridge died, and cannot know whether it made it), or
//! somebody asked for its end: a role that nobody asked for is nobody's to take away,
//! or to lower but to what was asked for and is not known to have been given.

use std::{collections::BTreeMap, sync::Mutex};

use super::{
    FAMILIES, LATE, Millis, ROLES, Roles, accounts,
    application::{Change, Lie, name_of},
    asked::Asked,
    below, chance, lock, now,
};

#[derive(Debug, Clone)]
struct Act {
    at: Millis,
    account: String,
    family: &'static str,
    rank: usize,
}

/// Drawn when nobody asks for anything any more.
#[derive(Debug, Default)]
pub(super) struct Hands(Mutex<Option<Vec<Act>>>);

impl Hands {
    pub(super) fn begin(&self, app: &Roles, asked: &Asked) {
        let mut acts = lock(&self.0);
        if acts.is_some() {
            return;
        }
        let refused = app.refused();
        // Who is to have no access loses whatever somebody gives.
        let all = accounts().into_iter().filter(|it| is_active(asked, it));
        let all = all.flat_map(|account| FAMILIES.map(|family| (account.clone(), family)));
        let mut drawn = Vec::new();
        for (account, family) in all {
            let is_refused = refused.contains(&(account.clone(), family.to_owned()));
            if chance(if is_refused { 80 } else { 20 }) {
                let after = below(u64::try_from(LATE.as_millis()).unwrap());
                drawn.push(Act {
                    at: now() + Millis::try_from(after).unwrap(),
                    account,
                    family,
                    rank: usize::try_from(below(ROLES.len() as u64)).unwrap(),
                });
            }
        }
        *acts = Some(drawn);
    }

    pub(super) fn are_to_come(&self) -> bool {
        lock(&self.0).as_ref().is_some_and(|acts| !acts.is_empty())
    }

    pub(super) fn happen(&self, app: &Roles) {
        let mut acts = lock(&self.0);
        let Some(acts) = acts.as_mut() else {
            return;
        };
        for act in acts.extract_if(.., |act| act.at <= now()) {
            // What is lowered may be asked for: a reconciliation puts that right.
            let has = app.has(&act.account, act.family);
            if has.is_some_and(|has| has < act.rank) {
                continue;
            }
            app.by_hand(&act.account, act.family, act.rank);
            if app.lie() == Lie::TakesByHand {
                app.takes(&act.account, act.family);
            }
        }
    }

    /// What calls of the bridge took of it that were not given up before.
    pub(super) fn robbed(&self, app: &Roles, asked: &Asked) -> Vec<String> {
        if lock(&self.0).is_none() {
            return Vec::new();
        }
        let mut given: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut found = Vec::new();
        for it in app.log() {
            let key = (it.account.clone(), it.family.clone());
            match (it.by, it.rank) {
                (None, Some(rank)) => _ = given.insert(key, rank),
                (_, rank) if rank == it.was => {}
                _ => {
                    let given = given.remove(&key);
                    let was = given.filter(|was| !it.late && !may_go(app, asked, &it, *was));
                    found.extend(was.map(|_| format!("takes what somebody gave by hand: {it:?}")));
                }
            }
        }
        found
    }
}

fn may_go(app: &Roles, asked: &Asked, change: &Change, was: usize) -> bool {
    let (account, family) = (&change.account, &change.family);
    let raised = change.rank.is_some_and(|rank| rank < was);
    let of_group = (name_of(family, was), account.clone());
    // Who was not known to have what was asked for, gets that.
    let lowered = change.rank.filter(|rank| *rank > was);
    let is_asked_for = |rank| {
        let pair = asked.pairs.get(&(name_of(family, rank), account.clone()));
        pair.is_some_and(|it| it.may(true))
    };
    raised
        || lowered.is_some_and(is_asked_for)
        || !is_active(asked, account)
        || asked.removed.contains(&of_group)
        || app.may_give(account, family, was)
}

fn is_active(asked: &Asked, account: &str) -> bool {
    let both = [&asked.exists, &asked.active];
    both.into_iter()
        .all(|of| of.get(account).is_some_and(|it| it.is(true)))
}
