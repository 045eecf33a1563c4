//! Drift: what the application shows that is not what was last observed there.
//!
//! Pure, and careful: a pair that is under way says nothing; a list that lost
//! more than half of a group is not believed at once (reliability: G-8); nothing
//! is drift that only one of two readings showed (H-12); and where too much
//! differs, it is doubted that the two belong together (G-7).

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize};

use super::state::{Existence, GroupKey, Principal, UserKey};

/// A pair as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub principal: Principal,
    pub desired: bool,
    /// The user is to have access at all. Without, the application may have
    /// taken it out of its groups, and that says nothing of what was asked for
    /// (reliability: I-15).
    pub has_access: bool,
    /// And because its account cannot be ended, it was taken out of its groups
    /// by us.
    pub withdrawn: bool,
    pub observed: Existence,
    /// Asked for by an identity provider, not only found.
    pub managed: bool,
    /// Only found, and before a group of its family that the user is asked for in.
    pub above: bool,
    /// A reconciliation has told that it is not there, and left it so.
    pub missed: bool,
    /// The change of the group by which it was last asked for.
    pub asked: i64,
}

impl Pair {
    /// Kept for the day on which the user is active again.
    pub fn sleeps(&self) -> bool {
        self.desired && !self.has_access
    }
}

/// A member as a list shows it: an id, an e-mail in lower case, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    pub upstream_id: Option<String>,
    pub account: Option<String>,
    /// Has a group of the same family that stands before it: as good as there
    /// for who is asked for, and no member otherwise.
    pub covers: bool,
    /// Where others may have the address too, its id alone says who it is, if both
    /// sides have one.
    pub by_id: bool,
}

/// How one group differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupDrift {
    /// Asked for, known to have been there, and not there any more.
    pub missing: Vec<UserKey>,
    /// Only ever found there, and gone.
    pub gone: Vec<UserKey>,
    /// Taken out because the user is not to have access, and there again; or only
    /// found there since.
    pub back: Vec<UserKey>,
    /// Members nobody asked for, by their places in what is shown; never touched.
    pub unasked: Vec<usize>,
    /// Members that were there when last observed.
    pub there: usize,
    /// The list is too short to be believed at once.
    pub shrunk: bool,
    /// Nobody is left of several: too little to take their memberships for
    /// ended at once, however small the group.
    pub emptied: bool,
}

/// Lists smaller than this may lose any share of what is on them.
const SMALL: usize = 10;

impl GroupDrift {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.gone.is_empty() && self.back.is_empty()
    }

    /// How many are not there.
    pub fn len(&self) -> usize {
        self.missing.len() + self.gone.len()
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
            back: both(self.back, &other.back),
            unasked: other.unasked.clone(),
            there: other.there,
            shrunk: other.shrunk,
            emptied: other.emptied,
        }
    }

    /// The same for the same members that are not there.
    pub fn digest(&self) -> u64 {
        digest(self.missing.iter().chain(&self.gone))
    }
}

/// The same for the same keys, in whatever order.
pub fn digest<K: Ord + Hash>(keys: impl IntoIterator<Item = K>) -> u64 {
    let mut keys: Vec<K> = keys.into_iter().collect();
    keys.sort_unstable();
    let mut hasher = DefaultHasher::new();
    keys.hash(&mut hasher);
    hasher.finish()
}

/// A list that is too short to be believed at once, by default a group's, and
/// how often in a row it was short by the same (reliability: G-8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrunk<Of = GroupKey> {
    #[serde(rename = "group")]
    of: Of,
    digest: u64,
    readings: u32,
    /// When the last reading that counts was, and the last one at all.
    counted: i64,
    seen: i64,
}

/// So many readings are believed, if they are so far apart (milliseconds).
const AGREEING: u32 = 3;
pub const APART: i64 = 10 * 60 * 1_000;

impl<Of: Copy> Shrunk<Of> {
    /// The first reading, at a time in milliseconds.
    pub fn first(of: Of, digest: u64, now: i64) -> Self {
        Self {
            of,
            digest,
            readings: 1,
            counted: now,
            seen: now,
        }
    }

    /// One more. One that shows something else is a first one again.
    pub fn again(&mut self, digest: u64, now: i64) {
        if self.digest != digest || now < self.counted {
            *self = Self::first(self.of, digest, now);
            return;
        }
        self.seen = now;
        if now - self.counted >= APART {
            (self.readings, self.counted) = (self.readings + 1, now);
        }
    }

    pub fn of(&self) -> Of {
        self.of
    }

    pub fn is_believed(&self) -> bool {
        self.readings >= AGREEING
    }

    pub fn was_seen_since(&self, then: i64) -> bool {
        self.seen >= then
    }
}

/// Fewer than this may differ, whatever share they are.
const FEW: u64 = 10;

/// Whether so many of so many are more than one in twenty (G-7).
pub fn is_doubtful(off: u64, of: u64) -> bool {
    off > FEW.max(of / 20)
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
        let id = id.and_then(|id| ids.get(&id.to_lowercase())).copied();
        id.or_else(|| accounts.get(&principal.account.to_lowercase()).copied())
    };
    let is_another = |principal: &Principal, at: usize| {
        let linked = principal.upstream_id.as_ref();
        let member = shown.get(at).filter(|member| member.by_id);
        let id = member.and_then(|member| member.upstream_id.as_ref());
        id.zip(linked)
            .is_some_and(|(id, linked)| !id.eq_ignore_ascii_case(linked))
    };
    let mut drift = GroupDrift::default();
    let mut matched = HashSet::new();
    let (mut there, mut still) = (0_usize, 0_usize);
    for pair in pairs {
        let found = place(&pair.principal);
        // Whoever must have nothing is out with every account of the address.
        let any = found.is_some();
        let found = found.filter(|at| !is_another(&pair.principal, *at));
        // More than what is asked for is told as long as it is there.
        matched.extend(found.filter(|_| !pair.above));
        // What was only found is not taken out before it is found.
        let taken = pair.managed == (pair.observed == Existence::Absent);
        let ended = pair.withdrawn && taken;
        if ended && pair.sleeps() && any {
            drift.back.push(pair.principal.user);
        }
        if pair.observed != Existence::Present || pair.sleeps() {
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
    let unasked = |(at, member): &(usize, &Shown)| !member.covers && !matched.contains(at);
    let unasked = shown.iter().enumerate().filter(unasked);
    drift.unasked = unasked.map(|(at, _)| at).collect();
    drift.there = there;
    drift.shrunk = has_shrunk(there, still);
    drift.emptied = there > 1 && still == 0;
    drift
}

/// Who was asked for otherwise at no time between two looks.
pub fn untouched(before: &[Pair], after: &[Pair]) -> HashSet<UserKey> {
    let before: HashMap<UserKey, i64> = before
        .iter()
        .map(|pair| (pair.principal.user, pair.asked))
        .collect();
    let same = |pair: &&Pair| before.get(&pair.principal.user) == Some(&pair.asked);
    let same = after.iter().filter(same);
    same.map(|pair| pair.principal.user).collect()
}

/// Whether so many left of so many are too few to be believed at once.
pub fn has_shrunk(there: usize, still: usize) -> bool {
    there >= SMALL && still * 2 < there
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
                counts: None,
                given_up: Vec::new(),
                elsewhere: Vec::new(),
                keeps: Vec::new(),
                families: Vec::new(),
                twins: Vec::new(),
                has: false,
                holding: None,
                fallback: None,
            },
            desired: true,
            has_access: true,
            withdrawn: false,
            missed: false,
            asked: 0,
            observed: Existence::Present,
            managed: true,
            above: false,
        }
    }

    fn shown(n: u8) -> Shown {
        Shown {
            upstream_id: n.is_multiple_of(2).then(|| format!("id{n}")),
            account: (!n.is_multiple_of(2)).then(|| format!("u{n}@example.com")),
            covers: false,
            by_id: false,
        }
    }

    #[test]
    fn what_is_not_there_is_missing_or_gone() {
        let drift = GroupDrift {
            missing: vec![UserKey(1), UserKey(2)],
            gone: vec![UserKey(3)],
            ..GroupDrift::default()
        };
        assert_eq!((drift.len(), drift.is_empty()), (3, false));
        assert_eq!(GroupDrift::default().len(), 0);
    }

    #[test]
    fn equal_lists_are_no_drift_whichever_way_members_are_named() {
        let pairs: Vec<_> = (0..20).map(pair).collect();
        let list: Vec<_> = (0..20).map(shown).collect();
        let drift = of_group(&pairs, &list);
        assert!(drift.is_empty() && !drift.shrunk, "{drift:?}");
        assert_eq!((drift.unasked.len(), drift.there), (0, 20));
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
        let of = |missing: &[UserKey], gone: &[UserKey]| GroupDrift {
            missing: missing.to_vec(),
            gone: gone.to_vec(),
            ..GroupDrift::default()
        };
        assert!(!of(&drift.missing, &[]).is_empty() && !of(&[], &drift.gone).is_empty());
        assert!(of(&[], &[]).is_empty());
        assert_eq!(drift.unasked, [1]);
        assert!(!drift.shrunk, "a small group");
    }

    #[test]
    fn another_account_with_the_address_is_not_the_one_that_is_linked_where_several_may_have_it() {
        let mut pairs = [pair(1), pair(2), pair(4)];
        (pairs[2].has_access, pairs[2].withdrawn) = (false, true);
        pairs[2].observed = Existence::Absent;
        let other = |n: u8, by_id| Shown {
            upstream_id: Some(format!("other{n}")),
            account: Some(format!("u{n}@example.com")),
            covers: false,
            by_id,
        };
        let list = |by_id| [other(1, by_id), other(2, by_id), other(4, by_id)];
        let drift = of_group(&pairs, &list(true));
        assert_eq!(drift.missing, [UserKey(2)], "who is linked is not there");
        assert_eq!(drift.back, [UserKey(4)], "has something by the address");
        assert_eq!(drift.unasked, [1, 2]);
        let drift = of_group(&pairs, &list(false));
        assert!(drift.missing.is_empty(), "its account was made anew");
        assert_eq!((drift.back, drift.unasked), (vec![UserKey(4)], vec![]));
    }

    #[test]
    fn memberships_of_who_has_no_access_are_neither_missing_nor_counted() {
        let mut pairs: Vec<_> = (0..12).map(pair).collect();
        for (n, pair) in pairs.iter_mut().enumerate().skip(1) {
            pair.has_access = false;
            pair.managed = n.is_multiple_of(2);
        }
        let drift = of_group(&pairs, &[shown(0)]);
        assert!(drift.is_empty() && !drift.shrunk, "{drift:?}");
        assert_eq!((drift.there, drift.unasked), (1, vec![]));
        let still = of_group(&pairs, &[shown(0), shown(1)]);
        assert_eq!(
            (still.there, still.unasked),
            (1, vec![]),
            "no stranger either"
        );
        pairs[1].desired = false;
        assert_eq!(of_group(&pairs, &[]).there, 2, "is to be taken out");
    }

    #[test]
    fn who_was_taken_out_with_the_access_and_is_there_again_is_back() {
        let mut pairs: Vec<_> = (0..3).map(pair).collect();
        for pair in &mut pairs {
            (pair.has_access, pair.observed) = (false, Existence::Absent);
        }
        (pairs[1].withdrawn, pairs[2].withdrawn) = (true, true);
        let list: Vec<_> = (0..2).map(shown).collect();
        let drift = of_group(&pairs, &list);
        assert_eq!(
            (&drift.back[..], drift.is_empty()),
            (&[UserKey(1)][..], false)
        );
        assert_eq!((drift.len(), drift.unasked.len(), drift.there), (0, 0, 0));
        assert!(drift.confirmed_by(&of_group(&pairs, &[])).is_empty());
        pairs[1].observed = Existence::Unknown;
        assert!(of_group(&pairs, &list).is_empty(), "it is on its way");
        (pairs[1].managed, pairs[1].observed) = (false, Existence::Present);
        assert_eq!(of_group(&pairs, &list).back, [UserKey(1)], "found since");
        assert!(of_group(&pairs, &[]).is_empty(), "and gone");
    }

    #[test]
    fn who_has_a_group_before_it_in_the_family_is_no_drift_and_no_stranger() {
        let pairs: Vec<_> = (0..2).map(pair).collect();
        let covered = |n| Shown {
            covers: true,
            ..shown(n)
        };
        let drift = of_group(&pairs, &[shown(0), covered(1), covered(7)]);
        assert!(drift.is_empty(), "{drift:?}");
        assert_eq!((drift.unasked.len(), drift.there), (0, 2));
        let drift = of_group(&pairs, &[covered(1), shown(7)]);
        assert_eq!((drift.missing.len(), drift.unasked.len()), (1, 1));
    }

    #[test]
    fn who_was_found_before_what_is_asked_for_is_told_as_unasked() {
        let mut pairs: Vec<_> = (0..2).map(pair).collect();
        for pair in &mut pairs {
            pair.managed = false;
        }
        pairs[1].above = true;
        let drift = of_group(&pairs, &[shown(0), shown(1)]);
        assert!(drift.is_empty(), "{drift:?}");
        assert_eq!((drift.unasked, drift.there), (vec![1], 2));
    }

    #[test]
    fn a_list_that_lost_more_than_half_is_not_believed() {
        let pairs: Vec<_> = (0..10).map(pair).collect();
        let list: Vec<_> = (0..5).map(shown).collect();
        assert!(!of_group(&pairs, &list).shrunk, "half is believed");
        assert!(of_group(&pairs, &list[..4]).shrunk);
        assert!(of_group(&pairs, &[]).shrunk);
        let small = of_group(&pairs[..9], &[]);
        assert!(!small.shrunk && small.emptied);
        assert!(!of_group(&pairs[..9], &list[..1]).emptied);
        assert!(!of_group(&pairs[..1], &[]).emptied, "one may go");
    }

    #[test]
    fn only_what_two_readings_agree_on_is_drift() {
        let pairs: Vec<_> = (0..4).map(pair).collect();
        let first = of_group(&pairs, &[shown(0), shown(1)]);
        let second = of_group(&pairs, &[shown(0), shown(2)]);
        assert_eq!(first.confirmed_by(&second).missing, [UserKey(3)]);
    }

    #[test]
    fn a_list_that_shrank_is_believed_when_three_readings_ten_minutes_apart_agree() {
        let pairs: Vec<_> = (0..20).map(pair).collect();
        let (short, shorter) = (of_group(&pairs, &[]), of_group(&pairs, &[shown(1)]));
        let (short, shorter) = (short.digest(), shorter.digest());
        assert_eq!(APART, 600_000);
        let mut shrunk = Shrunk::first(GroupKey(7), short, 0);
        let apart = APART;
        let readings = [
            (1, 1),
            (apart - 1, 1),
            (apart, 2),
            (apart, 2),
            (2 * apart - 1, 2),
        ];
        for (now, readings) in readings {
            shrunk.again(short, now);
            assert_eq!(shrunk.readings, readings, "at {now}");
            assert!(!shrunk.is_believed());
        }
        let mut other = shrunk.clone();
        other.again(shorter, 2 * APART);
        assert_eq!(other.readings, 1, "another list is another beginning");
        let mut back = shrunk.clone();
        back.again(short, 0);
        assert_eq!(back.readings, 1, "a clock that went back proves nothing");
        shrunk.again(short, 2 * APART);
        assert!(shrunk.is_believed() && shrunk.of() == GroupKey(7));
        assert!(shrunk.was_seen_since(2 * APART));
        assert!(!shrunk.was_seen_since(2 * APART + 1));
    }

    #[test]
    fn more_than_one_in_twenty_is_doubtful_unless_it_is_a_few() {
        assert!(!is_doubtful(10, 10) && is_doubtful(11, 11));
        assert!(!is_doubtful(50, 1_000) && is_doubtful(51, 1_000));
    }
}
