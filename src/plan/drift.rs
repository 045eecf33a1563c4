//! Drift: what the application shows that is not what was last observed there.
//!
//! Pure, and careful: a pair that is under way says nothing; a list that lost
//! more than half of a group is not believed at once (reliability: G-8); and
//! nothing is drift that only one of two readings showed (H-12).

use std::collections::{HashMap, HashSet};

use super::state::{Existence, Principal, UserKey};

/// A pair as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub principal: Principal,
    pub desired: bool,
    pub observed: Existence,
    /// Asked for by an identity provider, not only found.
    pub managed: bool,
}

/// A member as a list shows it: an id, an e-mail in lower case, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    pub upstream_id: Option<String>,
    pub account: Option<String>,
}

/// How one group differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupDrift {
    /// Asked for, known to have been there, and not there any more.
    pub missing: Vec<UserKey>,
    /// Only ever found there, and gone.
    pub gone: Vec<UserKey>,
    /// Members nobody asked for; never touched.
    pub unasked: usize,
    /// The list is too short to be believed at once.
    pub shrunk: bool,
}

/// Groups smaller than this may lose any share of their members.
const SMALL: usize = 10;

impl GroupDrift {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.gone.is_empty()
    }

    /// What two readings agree on.
    #[must_use]
    pub fn confirmed_by(self, other: &Self) -> Self {
        let both = |one: Vec<UserKey>, two: &[UserKey]| {
            let two: HashSet<_> = two.iter().collect();
            one.into_iter().filter(|user| two.contains(user)).collect()
        };
        Self {
            missing: both(self.missing, &other.missing),
            gone: both(self.gone, &other.gone),
            unasked: other.unasked,
            shrunk: other.shrunk,
        }
    }
}

/// Compares what is remembered of a group with what is shown of it.
pub fn of_group(pairs: &[Pair], shown: &[Shown]) -> GroupDrift {
    let by = |key: fn(&Shown) -> Option<&String>| -> HashMap<String, usize> {
        let named = shown.iter().enumerate();
        named
            .filter_map(|(at, member)| Some((key(member)?.to_lowercase(), at)))
            .collect()
    };
    let (ids, accounts) = (by(|m| m.upstream_id.as_ref()), by(|m| m.account.as_ref()));
    let place = |principal: &Principal| {
        let id = principal.upstream_id.as_ref();
        let id = id.and_then(|id| ids.get(&id.to_lowercase()));
        id.or_else(|| accounts.get(&principal.account.to_lowercase()))
    };
    let mut drift = GroupDrift::default();
    let mut matched = HashSet::new();
    let (mut there, mut still) = (0_usize, 0_usize);
    for pair in pairs {
        let found = place(&pair.principal).copied();
        matched.extend(found);
        if pair.observed != Existence::Present {
            continue;
        }
        there += 1;
        still += usize::from(found.is_some());
        if found.is_none() && pair.desired {
            if pair.managed {
                drift.missing.push(pair.principal.user);
            } else {
                drift.gone.push(pair.principal.user);
            }
        }
    }
    drift.unasked = shown.len() - matched.len();
    drift.shrunk = there >= SMALL && still * 2 < there;
    drift
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::scim::resource::ResourceId;

    fn pair(n: u8) -> Pair {
        Pair {
            principal: Principal {
                user: UserKey(n.into()),
                id: ResourceId::from_bytes([n; 16]),
                account: format!("U{n}@example.com"),
                upstream_id: (n.is_multiple_of(2)).then(|| format!("id{n}")),
            },
            desired: true,
            observed: Existence::Present,
            managed: true,
        }
    }

    fn shown(n: u8) -> Shown {
        Shown {
            upstream_id: n.is_multiple_of(2).then(|| format!("id{n}")),
            account: (!n.is_multiple_of(2)).then(|| format!("u{n}@example.com")),
        }
    }

    #[test]
    fn equal_lists_are_no_drift_whichever_way_members_are_named() {
        let pairs: Vec<_> = (0..20).map(pair).collect();
        let list: Vec<_> = (0..20).map(shown).collect();
        assert_eq!(of_group(&pairs, &list), GroupDrift::default());
    }

    #[test]
    fn who_is_gone_is_told_by_who_asked_for_it_and_strangers_are_counted() {
        let mut pairs: Vec<_> = (0..6).map(pair).collect();
        pairs[1].managed = false;
        pairs[2].desired = false;
        pairs[3].observed = Existence::Unknown;
        pairs[4].observed = Existence::Absent;
        let drift = of_group(&pairs, &[shown(5), shown(77)]);
        assert_eq!(drift.missing, [UserKey(0)]);
        assert_eq!(drift.gone, [UserKey(1)]);
        assert_eq!(drift.unasked, 1);
        assert!(!drift.shrunk, "a small group");
    }

    #[test]
    fn a_list_that_lost_more_than_half_is_not_believed() {
        let pairs: Vec<_> = (0..10).map(pair).collect();
        let list: Vec<_> = (0..5).map(shown).collect();
        assert!(!of_group(&pairs, &list).shrunk, "half is believed");
        assert!(of_group(&pairs, &list[..4]).shrunk);
        assert!(of_group(&pairs, &[]).shrunk);
        assert!(!of_group(&pairs[..9], &[]).shrunk);
    }

    #[test]
    fn only_what_two_readings_agree_on_is_drift() {
        let pairs: Vec<_> = (0..4).map(pair).collect();
        let first = of_group(&pairs, &[shown(0), shown(1)]);
        let second = of_group(&pairs, &[shown(0), shown(2)]);
        assert_eq!(first.confirmed_by(&second).missing, [UserKey(3)]);
    }
}
