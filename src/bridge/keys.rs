//! What is stored of users and groups is theirs by what the application knows them by.
//! Where a configuration says that it is something else, an import tells whose each key
//! is by now, of all of them or of none (reliability: I-25). Nothing is bound by a
//! likeness: only what is shown with the former key, or with all that was known of it,
//! is the same.

use std::collections::{HashMap, HashSet};

use super::{Failure, Operator, Session, approval::Declined, session::store_failed};
use crate::{
    plan::state::ConnectionKey,
    scim::{error::Problem, resource::Attributes},
    store::{Actor, Keyed, NewKey, Recovery, Store, StoreError, Why, is_same_application},
    upstream::{RemoteGroup, RemoteUser, Upstream},
};

/// So many of those whose keys are open are named.
const NAMED: usize = 5;

/// Which application it is, and what that knows things by.
pub(super) fn identity(upstream: &dyn Upstream) -> String {
    let fingerprint = upstream.fingerprint();
    match upstream.known_by() {
        Some(known_by) => format!("{fingerprint}, {known_by}"),
        None => fingerprint,
    }
}

/// Whether stored keys were learnt under something else than what is configured.
pub(super) async fn are_former(
    store: &dyn Store,
    c: ConnectionKey,
    upstream: &dyn Upstream,
) -> Result<bool, StoreError> {
    let before = store.fingerprint(c).await?;
    Ok(before.is_some_and(|before| is_former(&before, upstream)))
}

fn is_former(before: &str, upstream: &dyn Upstream) -> bool {
    let known_by = upstream.known_by();
    known_by.is_some_and(|known_by| knew_otherwise(before, (&identity(upstream), &known_by)))
}

fn knew_otherwise(before: &str, (identity, known_by): (&str, &str)) -> bool {
    !before.ends_with(known_by) && !is_same_application(before, identity)
}

/// Without the guard: what the keys are of, where that is not known or the same.
pub(super) async fn note(
    store: &dyn Store,
    c: ConnectionKey,
    identity: String,
    actor: Actor,
) -> Result<(), StoreError> {
    let before = store.fingerprint(c).await?;
    if before.is_none_or(|before| before != identity && is_same_application(&before, &identity)) {
        store.learn_keys(c, identity, Vec::new(), actor).await?;
    }
    Ok(())
}

fn open(recovery: Option<Recovery>) -> bool {
    recovery.is_some_and(|recovery| recovery.why == Why::OtherKeys)
}

const OPEN: &str = "users or groups were known by something else before, and whose each stored key \
    is was not learnt anew yet: run an import, or put what was configured before back";

impl Session {
    /// Nothing is read by a key of which it is open whose it is.
    pub(super) async fn keys_are_known(&self) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        if !open(store.recovery(c).await.map_err(store_failed)?) {
            return Ok(());
        }
        let former = are_former(&**store, c, &*self.connection.upstream).await;
        match former.map_err(store_failed)? {
            true => Err(unknown(OPEN.to_owned())),
            false => Ok(()),
        }
    }

    /// Before anything of a reading is written: whose each key is by now. An error
    /// where it cannot be told of all.
    pub(super) async fn learn_keys(
        &self,
        users: &[RemoteUser],
        groups: &[&RemoteGroup],
    ) -> Result<(), Failure> {
        let (store, c) = (&self.bridge.store, self.connection.key);
        if !open(store.recovery(c).await.map_err(store_failed)?) {
            return Ok(());
        }
        let upstream = &*self.connection.upstream;
        let before = store.fingerprint(c).await.map_err(store_failed)?;
        if let Some(former) = before.filter(|before| is_former(before, upstream)) {
            if !is_same_application(&upstream.fingerprint(), &former) {
                return Err(unknown(format!(
                    "what users or groups are known by and where they are were changed at once, so \
                     that nothing tells which they are: put the former known_by back and have the \
                     new address confirmed first (it was {former})"
                )));
            }
            let keyed = store.keyed(c).await.map_err(store_failed)?;
            let shown = Shown::of(upstream, &former, users, groups);
            let keys = shown.keys(keyed).map_err(|open| {
                let first = open.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                unknown(format!(
                    "of {} Users and Groups it cannot be told which they are by what they are known \
                     by now (as {first}): put what was configured before back, and settle them or \
                     delete them here first",
                    open.len()
                ))
            })?;
            let learnt = store.learn_keys(c, identity(upstream), keys, self.actor());
            learnt.await.map_err(store_failed)?;
            tracing::warn!(
                connection = %self.connection.name,
                "what users and groups are known by was learnt anew"
            );
        }
        // Without the guard nobody is asked.
        if !self.policy().guard.enabled {
            let ended = store.end_recovery(c, self.actor()).await;
            let lanes = ended.map_err(store_failed)?.unwrap_or_default();
            self.connection.lanes.kick_all(lanes);
        }
        Ok(())
    }
}

impl Operator {
    /// No word of an operator makes a former key the right one.
    pub(super) async fn may_end(
        &self,
        c: ConnectionKey,
        upstream: &dyn Upstream,
    ) -> Result<(), Declined> {
        let store = &self.bridge.store;
        let recovery = store.recovery(c).await.map_err(store_failed)?;
        let former = are_former(&**store, c, upstream);
        if open(recovery) && former.await.map_err(store_failed)? {
            return Err(unknown(OPEN.to_owned()).into());
        }
        Ok(())
    }
}

fn unknown(detail: String) -> Failure {
    Failure::Problem(Problem::new(409, detail))
}

/// What a reading shows, by the former keys.
struct Shown<'a> {
    upstream: &'a dyn Upstream,
    by_account: HashMap<String, Vec<&'a RemoteUser>>,
    by_id: HashMap<&'a str, &'a RemoteUser>,
    by_name: HashMap<String, Vec<&'a RemoteGroup>>,
    /// Of those whose former key is not shown, what they are known by now.
    same_users: HashMap<String, &'a RemoteUser>,
    same_groups: HashMap<&'a str, &'a RemoteGroup>,
}

impl<'a> Shown<'a> {
    fn of(
        upstream: &'a dyn Upstream,
        former: &str,
        users: &'a [RemoteUser],
        groups: &[&'a RemoteGroup],
    ) -> Self {
        let mut shown = Self {
            upstream,
            by_account: HashMap::new(),
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            same_users: HashMap::new(),
            same_groups: HashMap::new(),
        };
        let ids_stay = upstream.keeps_ids(former);
        for user in users.iter().filter(|user| !user.unreadable) {
            match upstream.former_account(former, user) {
                Some(account) => {
                    let account = account.to_lowercase();
                    shown.by_account.entry(account).or_default().push(user);
                }
                None => {
                    shown.same_users.insert(user.account.to_lowercase(), user);
                }
            }
            if let Some(id) = user.upstream_id.as_deref().filter(|_| ids_stay) {
                shown.by_id.insert(id, user);
            }
        }
        for group in groups.iter().filter(|group| !group.unreadable) {
            match upstream.former_group(former, group) {
                Some(name) => shown.by_name.entry(name).or_default().push(group),
                None => {
                    shown.same_groups.insert(&group.name, group);
                }
            }
        }
        shown
    }

    /// The new key of each, or those of whom it is open.
    fn keys(&self, keyed: Vec<Keyed>) -> Result<Vec<NewKey>, Vec<String>> {
        let (mut keys, mut open) = (Vec::with_capacity(keyed.len()), Vec::new());
        let (mut accounts, mut names) = (HashSet::new(), HashSet::new());
        for one in keyed {
            let (key, is_new) = match &one {
                Keyed::User { deleted, .. } => {
                    let key = self.user(&one);
                    let account = match &key {
                        Some(NewKey::User(_, account, _)) => account.clone(),
                        _ => None,
                    };
                    (
                        key,
                        *deleted || account.is_none_or(|it| accounts.insert(it)),
                    )
                }
                Keyed::Group { .. } => {
                    let key = self.group(&one);
                    let name = match &key {
                        Some(NewKey::Group(_, name)) => name.clone(),
                        _ => None,
                    };
                    (key, name.is_none_or(|it| names.insert(it)))
                }
            };
            match key.filter(|_| is_new) {
                Some(key) => keys.push(key),
                None => open.push(match one {
                    Keyed::User { account, .. } => account,
                    Keyed::Group { title, .. } => title,
                }),
            }
        }
        if open.is_empty() { Ok(keys) } else { Err(open) }
    }

    fn user(&self, one: &Keyed) -> Option<NewKey> {
        let Keyed::User {
            user,
            account,
            upstream_id,
            attributes,
            there,
            ..
        } = one
        else {
            return None;
        };
        let id = upstream_id.as_deref();
        let by_id = id.and_then(|id| self.by_id.get(id)).copied();
        let by_account = || match self.by_account.get(account)?.as_slice() {
            // An id that is another one by now says that it is somebody else's.
            [only] if id.is_none() || self.by_id.is_empty() => Some(*only),
            _ => None,
        };
        let same = || {
            let shown = self.same_users.get(account).copied();
            shown.filter(|shown| shown.upstream_id == *upstream_id)
        };
        if let Some(shown) = by_id.or_else(by_account).or_else(same) {
            let account = shown.account.to_lowercase();
            return Some(NewKey::User(
                *user,
                Some(account),
                shown.upstream_id.clone(),
            ));
        }
        if *there {
            return None;
        }
        let attributes: Option<Attributes> = serde_json::from_str(attributes).ok();
        let key = attributes.and_then(|it| self.upstream.project(&it).ok()?.key);
        Some(NewKey::User(*user, key, None))
    }

    fn group(&self, one: &Keyed) -> Option<NewKey> {
        let Keyed::Group {
            group,
            name,
            title,
            there,
        } = one
        else {
            return None;
        };
        let by_name = match self.by_name.get(name).map(Vec::as_slice) {
            Some([only]) => Some(*only),
            _ => None,
        };
        let same = || {
            let shown = self.same_groups.get(name.as_str()).copied();
            shown.filter(|shown| self.upstream.shown_as(shown) == *title)
        };
        match by_name.or_else(same) {
            Some(shown) => Some(NewKey::Group(*group, Some(shown.name.clone()))),
            None => (!there).then_some(NewKey::Group(*group, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        bridge::converge::tests::{all_done, scripted},
        plan::state::{GroupKey, UserKey},
    };

    #[test]
    fn another_address_alone_makes_no_key_another_ones() {
        let now = ("Acme https://a, users by Id /id", "users by Id /id");
        for (before, is) in [
            ("Acme https://a, users by Id /id", false),
            ("Acme https://a", false),
            ("Acme https://b, users by Id /id", false),
            ("Acme https://a, users by Email /id", true),
            ("Acme https://b, users by Email /id", true),
        ] {
            assert_eq!(knew_otherwise(before, now), is, "{before}");
        }
    }

    fn remote(account: &str, id: &str) -> RemoteUser {
        RemoteUser {
            account: account.into(),
            upstream_id: Some(id.into()),
            ..RemoteUser::default()
        }
    }

    fn named(name: &str) -> RemoteGroup {
        RemoteGroup {
            name: name.into(),
            ..RemoteGroup::default()
        }
    }

    fn user(account: &str, id: Option<&str>, there: bool) -> Keyed {
        Keyed::User {
            user: UserKey(1),
            account: account.into(),
            upstream_id: id.map(str::to_owned),
            attributes: "{}".into(),
            deleted: false,
            there,
        }
    }

    fn group(key: i64, name: &str, title: &str, there: bool) -> Keyed {
        Keyed::Group {
            group: GroupKey(key),
            name: name.into(),
            title: title.into(),
            there,
        }
    }

    #[test]
    fn keys_are_learnt_of_all_or_of_none_and_never_by_a_likeness() {
        let upstream = scripted(all_done);
        let (one, two, ann) = (named("1"), named("2"), remote("Ann", "7"));
        let shown = |by_name: bool| Shown {
            upstream: &upstream,
            by_account: [("ann@x.io".to_owned(), vec![&ann])].into(),
            by_id: HashMap::new(),
            // What is called "2" has the id 1.
            by_name: match by_name {
                true => [
                    ("2", vec![&one]),
                    ("1", vec![&two]),
                    ("3", vec![&one, &two]),
                ]
                .map(|(name, groups)| (name.to_owned(), groups))
                .into(),
                false => HashMap::new(),
            },
            same_users: [("bob".to_owned(), &ann)].into(),
            same_groups: match by_name {
                true => HashMap::new(),
                false => [("2", &two)].into(),
            },
        };
        let keys = |keyed: &[Keyed]| shown(true).keys(keyed.to_vec());
        let both = [group(1, "1", "1", true), group(2, "2", "2", true)];
        let swapped = vec![
            NewKey::Group(GroupKey(1), Some("2".into())),
            NewKey::Group(GroupKey(2), Some("1".into())),
        ];
        assert_eq!(keys(&both), Ok(swapped));
        let learnt = NewKey::User(UserKey(1), Some("ann".into()), Some("7".into()));
        assert_eq!(
            keys(&[user("ann@x.io", None, true)]),
            Ok(vec![learnt.clone()])
        );
        // Known with all that was known before.
        assert_eq!(keys(&[user("bob", Some("7"), true)]), Ok(vec![learnt]));
        assert!(keys(&[user("bob", Some("8"), true)]).is_err());
        for open in [
            user("eve", None, true),
            group(3, "3", "3", true),
            group(4, "4", "1", true),
        ] {
            let mut all = both.to_vec();
            all.push(open);
            assert_eq!(keys(&all).unwrap_err().len(), 1, "{all:?}");
        }
        let twice = [group(1, "1", "1", true), group(5, "1", "5", true)];
        assert_eq!(keys(&twice), Err(vec!["5".into()]));
        // What is not there has nothing by which anything could be sent.
        let absent = keys(&[user("eve", Some("9"), false), group(4, "4", "4", false)]);
        let absent = absent.unwrap();
        assert!(matches!(&absent[0], NewKey::User(_, _, None)));
        assert_eq!(absent[1], NewKey::Group(GroupKey(4), None));
        // Without a former key, what has the name has to be called the same, too.
        let same = |title| shown(false).keys(vec![group(2, "2", title, true)]);
        let title = upstream.shown_as(&two);
        assert_eq!(
            same(&title),
            Ok(vec![NewKey::Group(GroupKey(2), Some("2".into()))])
        );
        assert!(same("another").is_err());
    }
}
