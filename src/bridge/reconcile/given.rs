//! Of those who are members without having been asked for: whose membership was
//! taken away here. Somebody in the application has given it back, or the
//! application said that it was gone and it was not; which, nobody knows here. It
//! is told as that and left alone (reliability: I-26, H-15).
//!
//! All of them are looked at, however many; only what is named of them is cut.

use std::collections::HashSet;

use super::super::{Failure, Session, session::store_failed};
use crate::{
    plan::{drift::Shown, state::GroupKey},
    scim::resource::ResourceId,
    store::{DeletedBack, Drifted, DriftedGroup, GivenBack, Whose},
};

/// Of those who are in one group without having been asked for.
const NAMED: usize = 100;
/// So many of them in one question to the store, which reads for it all that was
/// changed of the group.
const PORTION: usize = 5_000;

/// Of the members nobody asked for those who are users here, and those who were:
/// some of them by name, and how many.
#[derive(Default)]
pub(super) struct Unasked {
    users: Vec<ResourceId>,
    given_back: Vec<GivenBack>,
    deleted: Vec<DeletedBack>,
    users_in_all: u64,
    given_back_in_all: u64,
    deleted_in_all: u64,
}

impl Unasked {
    /// Such as were taken away here.
    pub(super) fn taken_away(&self) -> u64 {
        self.given_back_in_all + self.deleted_in_all
    }

    fn add(&mut self, whose: Whose, member: &Shown) {
        match whose {
            Whose::Nobodys => {}
            Whose::User { id, removed: None } => {
                self.users_in_all += 1;
                keep(&mut self.users, || id);
            }
            Whose::User {
                id,
                removed: Some(removed),
            } => {
                self.given_back_in_all += 1;
                let user = || id.to_string();
                keep(&mut self.given_back, || GivenBack {
                    user: user(),
                    removed,
                });
            }
            Whose::Deleted(removed) => {
                self.deleted_in_all += 1;
                let id = member.upstream_id.clone();
                keep(&mut self.deleted, || DeletedBack {
                    account: id.unwrap_or_else(|| "without an id".to_owned()),
                    removed,
                });
            }
        }
    }

    /// Puts them into what is told of the group.
    pub(super) fn tell(self, group: &mut DriftedGroup) {
        let rest = |all: u64, named: usize| all - named as u64;
        group.more_unasked = rest(self.users_in_all, self.users.len());
        group.more_taken_away = rest(self.given_back_in_all, self.given_back.len())
            + rest(self.deleted_in_all, self.deleted.len());
        group.unasked_users = self.users.iter().map(ToString::to_string).collect();
        group.given_back = self.given_back;
        group.deleted = self.deleted;
    }
}

fn keep<T>(list: &mut Vec<T>, one: impl FnOnce() -> T) {
    if list.len() < NAMED {
        list.push(one());
    }
}

impl Session {
    /// Who they are, by their places in what is shown, of which those are left out
    /// whom another connection asks for there.
    pub(super) async fn unasked(
        &self,
        group: GroupKey,
        places: &mut Vec<usize>,
        shown: &[Shown],
    ) -> Result<Unasked, Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let mut unasked = Unasked::default();
        let mut ours = Vec::with_capacity(places.len());
        for portion in places.chunks(PORTION) {
            let members = |places: &[usize]| {
                let members = places.iter().filter_map(|at| shown.get(*at));
                let named = members.map(|it| (it.upstream_id.clone(), it.account.clone()));
                named.collect::<Vec<_>>()
            };
            let theirs = store.asked_for_elsewhere(group, members(portion)).await;
            let theirs: HashSet<usize> = theirs.map_err(store_failed)?.into_iter().collect();
            let left = portion.iter().enumerate();
            let left = left.filter(|(at, _)| !theirs.contains(at));
            let left: Vec<usize> = left.map(|(_, place)| *place).collect();
            let whose = store.whose(c, group, members(&left)).await;
            for (place, whose) in left.iter().zip(whose.map_err(store_failed)?) {
                if let Some(member) = shown.get(*place) {
                    unasked.add(whose, member);
                }
            }
            ours.extend(left);
        }
        *places = ours;
        Ok(unasked)
    }

    pub(super) fn warn_of_given_back(&self, found: &Drifted) {
        if found.given_back > 0 {
            tracing::warn!(
                connection = %self.connection.name, members = found.given_back,
                "what was taken away here is there, given back by somebody or never gone; see drawbridge reconcile"
            );
        }
    }
}
