//! Turns against an application that answers by script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;

use super::{
    groups::{READ_LAG, members_of},
    *,
};
use crate::{
    plan::{
        capability::{Act, Capability, Certainty, Identifier},
        operation::Operation,
        state::{
            Account, Existence, Given, GroupKey, GroupWork, Naming, ObservedAccount, Principal,
            UserKey, UserWork,
        },
    },
    scim::{
        error::Problem,
        resource::{Attributes, ResourceId},
        schema::Schemas,
    },
    store::{GroupLearned, GroupTurn, Guess, StoreError, UserLearned, UserTurn, Withdrawn},
    upstream::{
        Condition, Finding, MemberOutcome, Outcome, Projection, RemoteGroup, RemoteMember,
        RemoteProfile, RemoteUser, Upstream, unless_recalled,
    },
};

mod anew;
mod creations;
mod doubts;
mod ends;
mod given;
mod gone;
mod groups;
mod outcomes;
mod pairs;
mod people;
mod refusals;
mod remade;
mod roles;
mod scripted;
mod users;
mod words;

pub(in crate::bridge) use scripted::{Scripted, all_done, scripted};

fn principal(n: u8) -> Principal {
    Principal {
        user: UserKey(n.into()),
        id: ResourceId::from_bytes([n; 16]),
        account: format!("u{n}@example.com"),
        upstream_id: None,
        counts: None,
        given_up: Vec::new(),
        elsewhere: Vec::new(),
        keeps: Vec::new(),
        families: Vec::new(),
        twins: Vec::new(),
        has: false,
        holding: None,
        fallback: None,
    }
}

fn group(adds: std::ops::Range<u8>, removes: std::ops::Range<u8>) -> GroupTurn {
    GroupTurn {
        work: GroupWork {
            group: GroupKey(1),
            id: ResourceId::from_bytes([200; 16]),
            name: "dev".into(),
            naming: Naming::Rule,
            wanted: true,
            kept: false,
            observed: Existence::Present,
            made: false,
            first: adds.len(),
            adds: adds.map(principal).collect(),
            removes: removes.map(principal).collect(),
            alone: 0,
            full: None,
        },
        seq: 1,
        more: false,
        doubted: false,
        family: None,
        named: Vec::new(),
        before: Vec::new(),
        mistakable: false,
        guess: None,
        remains: false,
        shown_absent: false,
    }
}

/// Those who were written since a turn was handed out.
#[derive(Default)]
struct Written(Vec<UserKey>);

#[async_trait]
impl Since for Written {
    async fn written(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        let written = users.into_iter().filter(|user| self.0.contains(user));
        Ok(written.collect())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }
}

fn rejected() -> UpstreamError {
    UpstreamError::Rejected {
        reason: "no".into(),
    }
}

async fn turn(app: &Scripted, work: GroupTurn) -> (GroupLearned, Pause) {
    group_turn(app, work, &Written::default(), &mut Doubts::new()).await
}

fn sorted(mut users: Vec<UserKey>) -> Vec<i64> {
    users.sort_unstable();
    users.into_iter().map(|user| user.0).collect()
}

/// Refuses a call that names one of them.
fn refuses(bad: impl Fn(i64) -> bool + Send + Sync + 'static) -> Scripted {
    scripted(move |operation| {
        if members_of(operation).iter().any(|user| bad(user.0)) {
            Err(rejected())
        } else {
            all_done(operation)
        }
    })
}

#[tokio::test]
async fn a_missing_group_is_never_made_again_and_its_removals_are_done() {
    let app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    let (learned, _) = turn(&app, group(0..2, 10..12)).await;
    assert_eq!(
        (learned.refused.len(), sorted(learned.absent)),
        (2, vec![10, 11])
    );
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert!(learned.gone.is_some() && learned.group_refused.is_none());
    let sent = app.sent.lock().unwrap();
    assert!(
        matches!(&sent[..], [Operation::AddMembers { .. }]),
        "nothing more is sent to it: {sent:?}"
    );
}

#[tokio::test]
async fn a_new_group_whose_name_is_taken_is_refused_and_never_bound() {
    let app = scripted(|_| {
        Err(UpstreamError::Exists {
            reason: "409".into(),
        })
    });
    let mut work = group(0..2, 0..0);
    work.work.observed = Existence::Absent;
    let (learned, _) = turn(&app, work).await;
    assert!(learned.group_refused.is_some());
    assert_eq!(
        (app.calls(), learned.existence),
        (1, Some(Existence::Absent))
    );
}

#[tokio::test]
async fn a_group_whose_creation_was_unclear_is_read_before_it_is_made_again() {
    let mut app = scripted(all_done);
    app.group = Some(RemoteGroup {
        name: "dev".into(),
        ..RemoteGroup::default()
    });
    let mut work = group(0..2, 0..0);
    work.work.observed = Existence::Unknown;
    let (learned, _) = turn(&app, work).await;
    assert_eq!(
        (learned.existence, learned.present.len()),
        (Some(Existence::Present), 2)
    );
    assert!(matches!(
        app.sent.lock().unwrap()[..],
        [Operation::AddMembers { .. }]
    ));
}

#[tokio::test]
async fn a_group_that_a_late_deletion_took_away_refuses_nobody() {
    let gone = || UpstreamError::Missing {
        reason: "404".into(),
    };
    let app = scripted(move |_| Err(gone()));
    let (learned, _) = turn(&app, group(0..2, 0..0)).await;
    assert_eq!(learned.refused.len(), 2);
    let mut work = group(0..2, 10..11);
    work.doubted = true;
    looks_again(turn(&app, work).await);
}

/// Nothing was settled by it.
fn looks_again((learned, pause): (GroupLearned, Pause)) {
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Unknown), Pause::Look)
    );
    assert_eq!(sorted(learned.unsent), [0, 1, 10]);
    assert_eq!((learned.refused, learned.group_refused), (vec![], None));
}

#[tokio::test]
async fn a_group_of_ours_that_no_read_shows_yet_is_neither_refused_nor_empty() {
    let there = || UpstreamError::Exists {
        reason: "409".into(),
    };
    let app = scripted(move |_| Err(there()));
    let absent = || {
        let mut work = group(0..2, 10..11);
        work.work.observed = Existence::Absent;
        work
    };
    let (learned, _) = turn(&app, absent()).await;
    assert!(learned.group_refused.is_some(), "somebody else's");
    let (mut made, mut doubted) = (absent(), absent());
    made.work.made = true;
    doubted.doubted = true;
    looks_again(turn(&app, made).await);
    looks_again(turn(&app, doubted).await);
}

fn user(active: bool, existence: Existence, unsure: bool) -> UserTurn {
    UserTurn {
        work: UserWork {
            principal: principal(1),
            wanted: Account {
                active,
                ..Account::default()
            },
            observed: ObservedAccount {
                existence,
                profile: Some(BTreeMap::new()),
                ..ObservedAccount::default()
            },
            deleted: false,
            memberships: Vec::new(),
        },
        version: 1,
        since: Some(0),
        listed: None,
        withdrawn: None,
        asked: 0,
        begun: false,
        formerly: None,
        unsure,
        unjudged: false,
    }
}

#[tokio::test]
async fn what_the_application_cannot_do_is_refused_and_not_tried_for_ever() {
    let mut app = scripted(all_done);
    app.can.rows.clear();
    let (learned, pause) = user_turn(&app, user(false, Existence::Present, false), None).await;
    assert_eq!((app.calls(), pause), (0, Pause::None));
    assert!(learned.settled && learned.refused.is_some(), "{learned:?}");
}

#[tokio::test]
async fn deactivation_is_one_call_and_a_missing_account_is_as_good() {
    for answer in [
        Ok(Outcome::default()),
        Err(UpstreamError::Missing {
            reason: "404".into(),
        }),
    ] {
        let app = scripted(move |_| answer.clone());
        let (learned, _) = user_turn(&app, user(false, Existence::Present, false), None).await;
        let observed = learned.observed.unwrap();
        assert!(learned.settled && observed.deactivated);
        assert_eq!((app.calls(), observed.existence), (1, Existence::Absent));
    }
}

/// Somebody shown under an id.
fn shown_as(id: &str) -> Option<RemoteUser> {
    Some(RemoteUser {
        active: true,
        upstream_id: Some(id.into()),
        ..RemoteUser::default()
    })
}

#[tokio::test]
async fn an_account_that_was_made_anew_is_ended_under_its_new_id() {
    let mut work = user(false, Existence::Present, false);
    work.work.principal.upstream_id = Some("old".into());
    let knows = |id: &'static str| {
        move |operation: &Operation| match operation {
            Operation::DeactivateUser { principal }
                if principal.upstream_id.as_deref() == Some(id) =>
            {
                Ok(Outcome::default())
            }
            _ => Err(UpstreamError::Missing {
                reason: "404".into(),
            }),
        }
    };
    let mut app = scripted(knows("new"));
    app.user = shown_as("new");
    let (learned, pause) = user_turn(&app, work.clone(), None).await;
    assert_eq!((app.calls(), pause), (2, Pause::None));
    assert!(learned.settled && learned.observed.unwrap().deactivated);
    assert_eq!(learned.upstream_id.as_deref(), Some("new"));
    // What is shown and not known is neither there nor gone.
    for (known, shown, calls) in [("new", "old", 1), ("third", "new", 2)] {
        let mut app = scripted(knows(known));
        app.user = shown_as(shown);
        let (learned, pause) = user_turn(&app, work.clone(), None).await;
        assert_eq!((app.calls(), pause), (calls, Pause::BackOff), "{shown}");
        assert!(!learned.settled && !learned.observed.unwrap().deactivated);
    }
}

#[tokio::test]
async fn who_was_deactivated_before_is_deactivated() {
    let mut app = scripted(|_| Err(rejected()));
    let work = || user(false, Existence::Present, false);
    let (learned, pause) = user_turn(&app, work(), None).await;
    assert_eq!((learned.refused, pause), (None, Pause::None));
    assert!(learned.settled && learned.observed.unwrap().deactivated);
    app.user = shown_as("id");
    let (learned, _) = user_turn(&app, work(), None).await;
    assert!(learned.refused.is_some(), "still there");
}

#[tokio::test]
async fn an_account_that_exists_is_never_taken_over_by_a_fresh_create() {
    let app = scripted(|_| {
        Err(UpstreamError::Exists {
            reason: "409".into(),
        })
    });
    let (learned, _) = user_turn(&app, user(true, Existence::Absent, false), None).await;
    assert!(learned.refused.is_some() && learned.settled);
    // But a create whose first try was unclear is our own.
    let (learned, _) = user_turn(&app, user(true, Existence::Absent, true), None).await;
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    assert!(learned.refused.is_none());
    // And so is one that we deactivated ourselves.
    let mut back = user(true, Existence::Absent, false);
    back.work.observed.deactivated = true;
    let (learned, _) = user_turn(&app, back, None).await;
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    assert!(learned.refused.is_none() && learned.recreated);
}

#[tokio::test]
async fn an_unsure_account_is_read_before_anything_is_sent() {
    let mut app = scripted(all_done);
    app.user = Some(RemoteUser::default());
    let (learned, _) = user_turn(&app, user(true, Existence::Absent, true), None).await;
    assert_eq!(app.calls(), 0);
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
}

#[tokio::test]
async fn coming_back_after_deactivation_puts_memberships_in_doubt() {
    let app = scripted(all_done);
    let mut work = user(true, Existence::Absent, false);
    work.work.observed.deactivated = true;
    let (learned, _) = user_turn(&app, work, None).await;
    assert!(learned.recreated && learned.settled);
}

#[tokio::test]
async fn an_end_of_which_no_answer_came_is_sent_again_and_not_believed_to_a_read() {
    let cut = || UpstreamError::Unknown {
        reason: "cut".into(),
    };
    let app = scripted(move |_| Err(cut()));
    let mut work = user(false, Existence::Present, false);
    for tries in 1..4 {
        let (learned, pause) = user_turn(&app, work.clone(), None).await;
        assert_eq!((app.calls(), pause), (tries, Pause::BackOff));
        assert!(!learned.settled);
        // No read shows the account, as one that lags behind would not.
        work.work.observed = learned.observed.unwrap();
        work.unsure = true;
    }
}
