//! The judge of a world of roles: what SCIM shows must be what was asked for,
//! and the application must have what SCIM shows, the first of each family.
//! Of two connections one shows a user in a family, and whom it refused because
//! of that is told. An empty verdict is a good one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    FAMILIES, Kind, ROLES, World, accounts,
    application::{Change, name_of},
    asked::Asked,
    side::{ELSEWHERE, Side},
};
use crate::{
    bridge::{
        Bridge,
        tests::world::{OWN_NAME, listed, lock},
    },
    scim::resource::{ResourceId, ResourceType},
    store::{Refused, Store},
    upstream::Millis,
};

/// What SCIM shows by one connection.
struct Shown {
    /// Ids by name, and whether they are active.
    users: BTreeMap<String, (ResourceId, bool)>,
    groups: BTreeMap<String, (ResourceId, BTreeSet<ResourceId>)>,
    refused: Vec<Refused>,
}

impl Shown {
    fn is_in(&self, user: &str, group: &str) -> bool {
        let of = self.groups.get(group);
        let user = self.users.get(user);
        user.zip(of)
            .is_some_and(|((id, _), (_, members))| members.contains(id))
    }

    fn is_active(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|(_, active)| *active)
    }

    /// The role of a family that the user is to have because of it.
    fn counts(&self, user: &str, family: &str) -> Option<usize> {
        let mut ranks = 0..ROLES.len();
        ranks.find(|rank| self.is_active(user) && self.is_in(user, &name_of(family, *rank)))
    }

    /// When a user was refused in a group because somebody else asks for it.
    fn refused(&self, user: &str, group: &str) -> Option<Millis> {
        let (user, group) = (self.users.get(user)?.0, self.groups.get(group)?.0);
        let of = |it: &&Refused| it.user == user && it.group == group && it.wanted;
        self.refused.iter().find(of).map(|it| it.at)
    }
}

impl Side {
    async fn shown(&self, store: &dyn Store) -> Shown {
        let key = store.connection(self.connection).await.unwrap();
        let mut shown = Shown {
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            refused: store.refusals(key, 99).await.unwrap(),
        };
        for (id, it) in listed(store, self.connection, ResourceType::User).await {
            let name = it.text("userName").unwrap().to_owned();
            shown.users.insert(name, (id, it.active()));
        }
        for (id, it) in listed(store, self.connection, ResourceType::Group).await {
            let of = store.members(key, id).await.unwrap().unwrap();
            let name = it.text(OWN_NAME).unwrap().to_owned();
            let members = of.ids.iter().copied().collect();
            shown.groups.insert(name, (id, members));
        }
        shown
    }

    /// What is shown against what was asked for.
    fn compare(&self, other: Option<&Self>, shown: &Shown) -> Vec<String> {
        let mut found = Vec::new();
        let asked = lock(&self.asked);
        for user in accounts() {
            let entry = shown.users.get(&user);
            let exists = asked.exists.get(&user);
            let active = asked.active.get(&user);
            let right = exists.is_none_or(|it| it.may(entry.is_some()))
                && entry.is_none_or(|(_, on)| active.is_none_or(|it| it.may(*on)));
            // Who may not have been made from here, or have been deleted, may have been found.
            let anew = self.app.kind().finds() && exists.is_none_or(|it| it.may(false));
            if self.finds_anew(&asked, &user) {
                continue;
            }
            if !right && !anew {
                found.push(format!(
                    "{user} is shown as {entry:?} and was asked otherwise"
                ));
            }
            for group in self.app.names().into_iter().filter(|_| entry.is_some()) {
                let is_in = shown.is_in(&user, &group);
                let pair = asked.pairs.get(&(group.clone(), user.clone()));
                let family = group.split_once('/').unwrap().0;
                let refused = other
                    .zip(shown.refused(&user, &group))
                    .is_some_and(|it| !is_in && it.0.asks_for(&user, family, it.1));
                if self.app.is_given_by_hand(&user, family) || self.app.is_refused(&user, family) {
                    continue;
                }
                if !refused && !pair.map_or(!is_in, |may| may.may(is_in)) {
                    found.push(format!("{user} in {group}: shown {is_in}, asked {pair:?}"));
                }
            }
        }
        drop(asked);
        // What an inactive user was refused is told when they are active again.
        let hidden = shown.refused.iter().filter(|it| it.sleeps);
        let hidden = hidden.filter(|it| {
            let awake = shown.users.values();
            awake
                .into_iter()
                .any(|(id, active)| *id == it.user && *active)
        });
        found.extend(hidden.map(|it| format!("told nowhere: {it:?}")));
        let refused = shown.refused.iter();
        let refused = refused.filter(|_| self.app.kind() != Kind::Hands);
        let refused = refused.filter(|it| other.is_none() || !it.reason.contains(ELSEWHERE));
        found.extend(refused.map(|it| format!("refused: {it:?}")));
        found
    }

    /// An import shows whoever was deleted and can still sign in.
    fn finds_anew(&self, asked: &Asked, user: &str) -> bool {
        let exists = asked.exists.get(user);
        self.app.kind().finds() && exists.is_some_and(|it| it.is(false))
    }

    fn invented(&self, log: &[Change]) -> Vec<String> {
        let asked = lock(&self.asked);
        let ours = log.iter().filter(|it| it.by == Some(self.app.number()));
        let invented = ours.filter(|it| {
            it.rank.is_some_and(|rank| {
                let pair = (name_of(&it.family, rank), it.account.clone());
                asked.ever.get(&pair).is_none_or(|since| *since > it.at)
            })
        });
        invented.map(|it| format!("invented: {it:?}")).collect()
    }

    /// What this connection did to roles that the other one asked for.
    fn robbed(&self, other: &Self, log: &[Change]) -> Vec<String> {
        let asked = lock(&other.asked);
        let ours = log.iter().filter(|it| it.by == Some(self.app.number()));
        let robbed = ours.filter(|it| {
            let was = it.was.filter(|was| other.app.owns(&it.family, *was));
            let pair = was.map(|was| (name_of(&it.family, was), it.account.clone()));
            let asked_for = pair.and_then(|pair| asked.pairs.get(&pair));
            let active = asked.active.get(&it.account);
            asked_for.is_some_and(|pair| pair.was(true, it.at))
                && active.is_some_and(|active| active.was(true, it.at))
        });
        robbed
            .map(|it| format!("takes what the other one asks for: {it:?}"))
            .collect()
    }
}

impl World {
    pub(super) async fn verdict(&self, bridge: &Bridge, store: &dyn Store) -> Vec<String> {
        let (mut found, mut all) = (Vec::new(), Vec::new());
        let log = self.app().log();
        for (side, number) in self.sides.iter().zip(0..) {
            let shown = side.shown(store).await;
            let others = self
                .sides
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != number);
            let other = others.map(|(_, other)| other).next();
            found.extend(side.compare(other, &shown));
            found.extend(side.invented(&log));
            found.extend(other.into_iter().flat_map(|other| side.robbed(other, &log)));
            all.push(shown);
            let key = bridge.find(Some(side.connection)).unwrap().key;
            let counts = store.counts(key).await.unwrap();
            if counts.staged_users + counts.pending_users > 0 {
                found.push(format!("still open: {counts:?}"));
            }
        }
        for user in accounts() {
            for family in FAMILIES {
                let sides = self.sides.iter().zip(&all);
                let asked = sides.filter(|(it, _)| !it.finds_anew(&lock(&it.asked), &user));
                let mut counts = asked.filter_map(|(_, it)| it.counts(&user, family));
                let (counts, more) = (counts.next(), counts.next());
                if more.is_some() {
                    found.push(format!("{user} is asked for by both in {family}"));
                }
                let has = self.app().has(&user, family);
                let by_hand = self.app().is_given_by_hand(&user, family);
                if has != counts && !by_hand {
                    found.push(format!(
                        "{user} has {has:?} in {family} and should {counts:?}"
                    ));
                }
            }
        }
        found.extend(self.early.verdict(self.app()));
        found.extend(self.hands.robbed(self.app(), &lock(&self.sides[0].asked)));
        if self.kind == Kind::Twins {
            let users = all[0].users.iter().filter(|(_, (_, active))| !active);
            let out: Vec<String> = users.map(|(user, _)| user.clone()).collect();
            let asked = lock(&self.sides[0].asked);
            // Who was deleted and is not found again has nothing by another account, also
            // where the deletion got no answer.
            let gone = accounts().into_iter().filter(|user| {
                let deleted = asked.exists.get(user).is_some_and(|it| it.is(false));
                let was_here = deleted || self.twins.was_linked(user);
                was_here && !all[0].users.contains_key(user)
            });
            let out: Vec<String> = out.into_iter().chain(gone).collect();
            found.extend(self.twins.verdict(self.app(), &asked, &out));
        }
        found
    }
}
