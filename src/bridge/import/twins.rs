//! Addresses that several accounts have, where users are known by an id that
//! never changes hands, as those of families are. Which of them an identity
//! provider means cannot be told, so none is bound to the address by guess: one
//! that was linked before goes on by its id, and all others are not shown.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{super::session::store_failed, Failure, Reading, Session};
use crate::{store::LeftOver, upstream::RemoteUser};

/// So many are told in the log, at most.
const TOLD: usize = 100;

/// Such addresses, in lower case.
pub(super) fn of(reading: &Reading) -> HashSet<String> {
    among(shown(reading))
}

/// Of ids with addresses.
pub(super) fn among<'a>(shown: impl Iterator<Item = (&'a str, &'a str)>) -> HashSet<String> {
    let mut twins = HashSet::new();
    let mut met: HashMap<String, &str> = HashMap::new();
    for (id, account) in shown {
        let account = account.to_lowercase();
        match met.get(&account) {
            Some(other) if *other != id => _ = twins.insert(account),
            Some(_) => {}
            None => _ = met.insert(account, id),
        }
    }
    twins
}

/// Ids with addresses, as often as they are shown.
fn shown(reading: &Reading) -> impl Iterator<Item = (&str, &str)> {
    let users = reading.users.iter().filter(|user| !user.unreadable);
    let users = users.map(|user| (user.upstream_id.as_deref(), Some(user.account.as_str())));
    let families = reading.groups.iter().filter(|(it, _)| it.family.is_some());
    let members = families.flat_map(|(_, members)| members);
    let members = members.map(|member| (member.upstream_id.as_deref(), member.account.as_deref()));
    let all = users.chain(members);
    all.filter_map(|(id, account)| Some((id?, account?)))
}

/// The ids of those who share an address.
fn ids_by_address(
    reading: &Reading,
    twins: &HashSet<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if twins.is_empty() {
        return ids;
    }
    for (id, account) in shown(reading) {
        let account = account.to_lowercase();
        if twins.contains(&account) {
            ids.entry(account).or_default().insert(id.to_owned());
        }
    }
    ids
}

/// Accounts that have nothing, with addresses that others have too.
fn idle_among(users: &[RemoteUser]) -> Vec<String> {
    let busy: HashSet<String> = users
        .iter()
        .filter(|user| !user.idle)
        .map(|user| user.account.to_lowercase())
        .collect();
    let idle = users.iter().filter(|user| user.idle);
    idle.filter(|user| busy.contains(&user.account.to_lowercase()))
        .filter_map(|user| user.upstream_id.clone())
        .collect()
}

impl Session {
    /// An account that has nothing shares its address with nobody, as whoever has
    /// something is meant by it then, unless it is the one that is linked here.
    /// That of who was deleted is nobody new.
    pub(super) async fn leave_out_idle(&self, reading: &mut Reading) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        let idle = reading.users.iter().filter(|user| user.idle);
        let addresses = idle.map(|user| user.account.to_lowercase()).collect();
        let departed = store.departed_among(c, addresses).await;
        let departed = departed.map_err(store_failed)?;
        reading
            .users
            .retain(|user| !user.idle || !departed.contains(&user.account.to_lowercase()));
        let idle = idle_among(&reading.users);
        if idle.is_empty() {
            return Ok(());
        }
        let linked = store.linked_among(c, idle.clone()).await;
        let linked = linked.map_err(store_failed)?;
        let idle: HashSet<String> = idle.into_iter().filter(|id| !linked.contains(id)).collect();
        let is_left_out = |id: &String| idle.contains(id);
        reading
            .users
            .retain(|user| !user.upstream_id.as_ref().is_some_and(is_left_out));
        Ok(())
    }

    /// Keeps of whom it cannot be told which account is meant, and what is left
    /// to whom; says so in the log.
    pub(super) async fn note_twins(
        &self,
        reading: &Reading,
        twins: &HashSet<String>,
        left: &[LeftOver],
    ) -> Result<(), Failure> {
        let leavers: HashSet<&String> = left.iter().map(|it| &it.shown).collect();
        let mut noted = Vec::new();
        for (address, ids) in ids_by_address(reading, twins) {
            if !leavers.contains(&address) {
                noted.extend(ids.into_iter().map(|id| (address.clone(), id)));
            }
        }
        let left = left.iter().filter(|it| it.ours);
        noted.extend(left.map(|it| (it.account.clone(), it.upstream_id.clone())));
        let (store, c) = (&self.bridge.store, self.connection.key);
        store.note_twins(c, noted).await.map_err(store_failed)?;
        let told = store.twins(c, TOLD).await.map_err(store_failed)?;
        for twins in told.iter().filter(|it| it.user.is_some()) {
            tracing::warn!(
                connection = %self.connection.name, user = ?twins.user, accounts = ?twins.accounts,
                ended = twins.ended,
                "accounts of the application have the address of one user: while the user is \
                 active, what is done to it is done to the linked one"
            );
        }
        Ok(())
    }
}

impl Session {
    /// The same where there are no families. Told are accounts that have something: who
    /// is active, and in a group where no account can be ended.
    pub(super) async fn note_shared(
        &self,
        reading: &Reading,
        twins: &HashSet<String>,
    ) -> Result<(), Failure> {
        let withdraws = self.connection.upstream.capabilities().withdraws();
        let members = reading.groups.iter().flat_map(|(_, members)| members);
        let (mut ids, mut accounts) = (HashSet::new(), HashSet::new());
        for member in members {
            ids.extend(&member.upstream_id);
            accounts.extend(member.account.as_ref().map(|it| it.to_lowercase()));
        }
        let mut with_something: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let users = reading.users.iter().filter(|user| user.active);
        for user in users.filter(|user| is_one(twins, &user.account)) {
            if let Some(id) = &user.upstream_id
                && (!withdraws
                    || ids.contains(id)
                    || accounts.contains(&user.account.to_lowercase()))
            {
                let of = with_something.entry(user.account.to_lowercase());
                of.or_default().push(id.clone());
            }
        }
        let (store, c) = (&self.bridge.store, self.connection.key);
        let alone = with_something.values().filter(|ids| ids.len() == 1);
        let linked = store
            .linked_among(c, alone.flatten().cloned().collect())
            .await;
        let linked = linked.map_err(store_failed)?;
        // What a user has by the account that is linked is no matter of others.
        with_something.retain(|_, ids| !matches!(ids.as_slice(), [id] if linked.contains(id)));
        let noted = with_something.into_iter();
        let noted =
            noted.flat_map(|(account, ids)| ids.into_iter().map(move |id| (account.clone(), id)));
        store
            .note_twins(c, noted.collect())
            .await
            .map_err(store_failed)
    }
}

pub(super) fn is_one(twins: &HashSet<String>, account: &str) -> bool {
    !twins.is_empty() && twins.contains(&account.to_lowercase())
}

/// By an address that two have nobody is known.
pub(super) fn disown(reading: &mut Reading, twins: &HashSet<String>) {
    if twins.is_empty() {
        return;
    }
    let is_twin = |account: &str| is_one(twins, account);
    reading
        .users
        .retain(|user| user.unreadable || !is_twin(&user.account));
    for member in reading.groups.iter_mut().flat_map(|(_, members)| members) {
        member.account.take_if(|account| is_twin(account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::state::Family,
        upstream::{RemoteGroup, RemoteMember, RemoteUser},
    };

    fn user(id: &str, account: &str) -> RemoteUser {
        RemoteUser {
            upstream_id: Some(id.into()),
            account: account.into(),
            ..RemoteUser::default()
        }
    }

    fn member(id: &str, account: &str) -> RemoteMember {
        RemoteMember {
            upstream_id: Some(id.into()),
            account: Some(account.into()),
            covers: false,
            unclear: false,
        }
    }

    fn group(family: bool, members: Vec<RemoteMember>) -> (RemoteGroup, Vec<RemoteMember>) {
        let family = family.then(|| Family {
            name: "acme".into(),
            rank: 0,
        });
        let group = RemoteGroup {
            family,
            ..RemoteGroup::default()
        };
        (group, members)
    }

    #[test]
    fn two_accounts_with_one_address_are_nobody_by_it() {
        let mut reading = Reading {
            users: vec![user("1", "ann@x"), user("2", "twin@x")],
            groups: vec![
                group(true, vec![member("1", "ann@x"), member("2", "twin@x")]),
                group(true, vec![member("3", "Twin@x"), member("1", "ann@x")]),
            ],
            unread: Vec::new(),
            whole: true,
        };
        let twins = of(&reading);
        assert_eq!(twins, HashSet::from(["twin@x".to_owned()]));
        let told = ids_by_address(&reading, &twins);
        let ids = BTreeSet::from(["2".to_owned(), "3".to_owned()]);
        assert_eq!(told, BTreeMap::from([("twin@x".to_owned(), ids)]));
        disown(&mut reading, &twins);
        let left: Vec<_> = reading.users.iter().map(|it| it.account.as_str()).collect();
        assert_eq!(left, ["ann@x"]);
        let members = reading.groups.into_iter().flat_map(|(_, members)| members);
        let by_address: Vec<_> = members.map(|it| it.account.is_some()).collect();
        assert_eq!(by_address, [true, false, false, true], "by their ids alone");
    }

    #[test]
    fn what_shows_no_address_shares_none() {
        let nameless = |id| RemoteUser {
            unreadable: true,
            ..user(id, "")
        };
        let mut reading = Reading {
            users: vec![
                nameless("1"),
                nameless("2"),
                user("3", "twin@x"),
                user("4", "Twin@x"),
            ],
            groups: Vec::new(),
            unread: Vec::new(),
            whole: true,
        };
        let twins = of(&reading);
        assert_eq!(twins, HashSet::from(["twin@x".to_owned()]));
        disown(&mut reading, &twins);
        assert_eq!((reading.users.len(), reading.left_out()), (2, 2));
    }

    #[test]
    fn ids_of_memberships_are_no_ids_of_accounts() {
        let reading = Reading {
            users: vec![user("1", "ann@x")],
            groups: vec![group(false, vec![member("m7", "ann@x")])],
            unread: Vec::new(),
            whole: true,
        };
        assert!(of(&reading).is_empty());
    }
}
