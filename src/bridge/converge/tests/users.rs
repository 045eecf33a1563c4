//! Turns of a user: what is looked at first, what an answer teaches, and what
//! is said of a refusal.
use super::*;

/// When somebody asked for the account.
const SINCE: Millis = 1_800_000_000_000;

fn unsure(active: bool, existence: Existence) -> UserTurn {
    UserTurn {
        since: Some(SINCE),
        ..user(active, existence, true)
    }
}

fn deactivated(mut turn: UserTurn) -> UserTurn {
    turn.work.observed.deactivated = true;
    turn
}

fn found(created: Option<Millis>) -> Option<RemoteUser> {
    Some(RemoteUser {
        created,
        upstream_id: Some("7".into()),
        ..RemoteUser::default()
    })
}

async fn alone(app: &Scripted, turn: UserTurn) -> UserLearned {
    user_turn(app, turn, None).await.0
}

fn sent(app: &Scripted) -> Vec<Operation> {
    app.sent.lock().unwrap().clone()
}

fn later() -> UpstreamError {
    UpstreamError::Later {
        after: None,
        reason: "429".into(),
    }
}

fn fields(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    of.iter().map(own).collect()
}

/// It may be an administrator's all the same, and that is told.
#[tokio::test]
async fn an_account_that_is_taken_for_what_was_made_is_told_with_what_speaks_against_it() {
    let names = |of: [&str; 2]| -> BTreeMap<String, String> {
        let names = ["firstName", "lastName"].into_iter().zip(of);
        names.map(|(key, of)| (key.into(), of.into())).collect()
    };
    let differs = async |shown: [&str; 2]| {
        let mut app = scripted(all_done);
        app.user = found(None);
        app.user.as_mut().unwrap().fields = names(shown);
        let mut turn = unsure(true, Existence::Absent);
        turn.work.wanted.creation = names(["Jose\u{301}  Maria", "Wolfeschlegelsteinhausen"]);
        let learned = alone(&app, turn).await;
        assert!(learned.refused.is_none());
        let taken = learned.taken_over.unwrap();
        assert!(!taken.older);
        taken.differs
    };
    assert!(!differs(["JOS\u{c9} MARIA", "Other"]).await);
    assert!(!differs(["Other", "wolfeschlegel"]).await, "cut off");
    assert!(!differs(["", ""]).await, "nothing is shown");
    assert!(differs(["By", "Hand"]).await);
    assert!(differs(["By", ""]).await);
    let mut app = scripted(all_done);
    app.user = found(Some(SINCE - 300_001));
    let learned = alone(&app, unsure(false, Existence::Absent)).await;
    assert!(learned.found && learned.taken_over.unwrap().older);
}

#[tokio::test]
async fn an_account_that_is_older_than_the_request_for_it_is_not_what_was_made() {
    let mut app = scripted(all_done);
    app.user = found(Some(SINCE - 300_001));
    let learned = alone(&app, unsure(true, Existence::Absent)).await;
    let refused = learned.refused.unwrap();
    assert!(refused.contains("has one already"), "{refused}");
    assert!(learned.settled && learned.upstream_id.is_none());
    assert_eq!(learned.about.as_deref(), Some("u1@example.com"));
    assert_eq!(learned.observed.unwrap().existence, Existence::Absent);
    assert_eq!(sent(&app), [], "it is not touched");
    // Who must have nothing has it, whoever made it; it is ended by the next turn.
    let learned = alone(&app, unsure(false, Existence::Absent)).await;
    assert!(learned.settled && learned.found && learned.refused.is_none());
    assert_eq!(learned.upstream_id.as_deref(), Some("7"));
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    assert_eq!(sent(&app), []);
    // One that was there before is known, however old it is.
    let learned = alone(&app, unsure(true, Existence::Unknown)).await;
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    // And clocks may be five minutes apart.
    for young in [None, Some(SINCE - 300_000), Some(SINCE)] {
        app.user = found(young);
        let learned = alone(&app, unsure(true, Existence::Absent)).await;
        assert_eq!(learned.observed.unwrap().existence, Existence::Present);
        assert_eq!(learned.upstream_id.as_deref(), Some("7"));
        assert!(learned.refused.is_none() && !learned.recreated);
    }
}

#[tokio::test]
async fn what_an_import_would_have_shown_is_younger_than_its_date_says() {
    const LATELY: Millis = SINCE - 10_000;
    for (created, listed, is_ours) in [
        (SINCE - 600_000, Some(LATELY), true),
        (SINCE - 600_000, None, false),
        // Somebody has made it between the import and the request.
        (SINCE - 600_000, Some(SINCE - 900_000), false),
        (SINCE - 600_000, Some(SINCE - 541_000), false),
        // No date is that far off.
        (SINCE - 3_600_000, Some(LATELY), true),
        (SINCE - 3_600_001, Some(LATELY), false),
    ] {
        let mut app = scripted(all_done);
        app.user = found(Some(created));
        let turn = UserTurn {
            listed,
            ..unsure(true, Existence::Absent)
        };
        let learned = alone(&app, turn).await;
        assert_eq!(learned.refused.is_none(), is_ours, "{created} {listed:?}");
        // What speaks against it is told.
        let told = learned.taken_over.is_some_and(|it| it.older);
        assert_eq!(told, is_ours, "{created} {listed:?}");
    }
}

/// A look that lagged did not show it, and the creation was answered that it exists.
#[tokio::test]
async fn what_exists_and_is_older_than_the_request_is_not_ours_though_no_look_showed_it() {
    for (created, is_ours) in [
        (Some(SINCE - 300_001), false),
        (Some(SINCE), true),
        (None, true),
    ] {
        let mut app = scripted(|_| {
            Err(UpstreamError::Exists {
                reason: "409".into(),
            })
        });
        app.user = found(created);
        app.unshown = 1.into();
        let learned = alone(&app, unsure(true, Existence::Absent)).await;
        assert_eq!(learned.refused.is_none(), is_ours, "{created:?}");
        let there = learned.observed.unwrap().existence == Existence::Present;
        assert_eq!((there, learned.settled), (is_ours, true), "{created:?}");
        assert_eq!(
            (learned.taken_over.is_some(), learned.calls.len()),
            (is_ours, 1)
        );
        // One that was ours before is known, however old it is.
        app.unshown = 1.into();
        let learned = alone(&app, unsure(true, Existence::Unknown)).await;
        assert!(learned.refused.is_none(), "{created:?}");
    }
}

#[tokio::test]
async fn an_account_that_was_ended_here_is_what_was_made_however_old_it_is() {
    let mut app = scripted(all_done);
    app.user = found(Some(0));
    let turn = UserTurn {
        since: None,
        ..unsure(true, Existence::Absent)
    };
    let learned = alone(&app, turn).await;
    assert!(learned.refused.is_none() && learned.settled);
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    assert!(!learned.taken_over.unwrap().older);
}

#[tokio::test]
async fn what_was_made_by_a_clock_that_is_behind_is_not_older_than_the_request() {
    let mut app = scripted(all_done);
    app.behind = 600_000;
    app.user = found(Some(SINCE - 900_000));
    let learned = alone(&app, unsure(true, Existence::Absent)).await;
    assert!(learned.refused.is_none());
    app.user = found(Some(SINCE - 900_001));
    let learned = alone(&app, unsure(true, Existence::Absent)).await;
    assert!(learned.refused.is_some());
}

#[tokio::test]
async fn a_look_shows_no_role_and_no_profile_so_they_are_sent_again() {
    let mut app = scripted(all_done);
    app.user = found(None);
    let mut turn = unsure(true, Existence::Unknown);
    turn.work.wanted.role = Some("lead".into());
    turn.work.wanted.profile = fields(&[("team", "red")]);
    turn.work.observed.role = Some("lead".into());
    turn.work.observed.profile = Some(fields(&[("team", "red")]));
    let learned = alone(&app, turn).await;
    assert!(
        matches!(
            &sent(&app)[..],
            [Operation::SetRole { .. }, Operation::UpsertProfile { .. }]
        ),
        "{:?}",
        sent(&app)
    );
    let observed = learned.observed.unwrap();
    assert_eq!(observed.role.as_deref(), Some("lead"));
    assert_eq!(observed.profile, Some(fields(&[("team", "red")])));
    assert!(observed.record && !learned.recreated);
}

/// Of whom nobody says a role, and a call may have given one.
#[tokio::test]
async fn the_plain_role_is_said_where_another_one_may_be_there() {
    for (may, expected) in [(false, 0), (true, 1)] {
        let app = scripted(all_done);
        let mut turn = user(true, Existence::Present, false);
        turn.work.observed.may_have_role = may;
        let learned = alone(&app, turn).await;
        let roles = sent(&app)
            .into_iter()
            .filter_map(|operation| match operation {
                Operation::SetRole { role, .. } => Some(role),
                _ => None,
            });
        assert_eq!(roles.collect::<Vec<_>>(), vec!["plain"; expected]);
        let role = learned.observed.unwrap().role;
        assert_eq!(role.is_some(), may);
    }
}

#[tokio::test]
async fn an_account_that_a_look_does_not_show_is_made_again_with_its_memberships() {
    let app = scripted(all_done);
    let learned = alone(&app, unsure(true, Existence::Unknown)).await;
    assert!(matches!(&sent(&app)[..], [Operation::CreateUser { .. }]));
    assert!(learned.recreated && learned.settled);
    let observed = learned.observed.unwrap();
    assert_eq!(
        (observed.existence, observed.deactivated),
        (Existence::Present, false)
    );
    let app = scripted(|_| Err(later()));
    let learned = alone(&app, unsure(true, Existence::Unknown)).await;
    let observed = learned.observed.unwrap();
    assert_eq!(
        (observed.existence, observed.deactivated),
        (Existence::Absent, true)
    );
    assert!(!learned.recreated, "it was not sent");
}

#[tokio::test]
async fn what_came_back_by_an_unanswered_call_has_its_memberships_put_there_again() {
    let recreated = async |families, turn: UserTurn| {
        let mut app = scripted(all_done);
        app.user = found(None);
        app.families = families;
        let before = &turn.work.observed;
        let was_there = before.existence != Existence::Absent || before.deactivated;
        let learned = alone(&app, turn).await;
        assert_eq!(learned.may_stand, was_there);
        learned.recreated
    };
    let known = || unsure(true, Existence::Unknown);
    let fresh = || unsure(true, Existence::Absent);
    assert!(recreated(false, deactivated(fresh())).await);
    assert!(recreated(true, known()).await, "it may have been ended");
    assert!(!recreated(false, known()).await);
    assert!(!recreated(true, fresh()).await, "it had none yet");
}

#[tokio::test]
async fn only_the_end_of_an_account_that_was_there_is_sent_without_a_look() {
    let ends = async |turn| {
        let app = scripted(all_done);
        alone(&app, turn).await;
        match sent(&app)[..] {
            [] => false,
            [Operation::DeactivateUser { .. }] => true,
            ref other => panic!("{other:?}"),
        }
    };
    assert!(ends(unsure(false, Existence::Unknown)).await);
    assert!(ends(deactivated(unsure(false, Existence::Absent))).await);
    assert!(!ends(unsure(false, Existence::Absent)).await, "never was");
    assert!(
        !ends(user(false, Existence::Absent, false)).await,
        "is sure"
    );
    let ended = deactivated(user(false, Existence::Absent, false));
    assert!(!ends(ended).await, "is sure");
}

#[tokio::test]
async fn a_refused_end_is_as_good_only_if_nobody_is_there() {
    let refused = async |turn, found| {
        let mut app = scripted(|_| Err(rejected()));
        app.user = found;
        let learned = alone(&app, turn).await;
        assert!(learned.settled);
        let observed = learned.observed.unwrap();
        assert_eq!(learned.refused.is_none(), observed.deactivated);
        learned.refused
    };
    let again = || unsure(false, Existence::Unknown);
    assert_eq!(refused(again(), None).await, None);
    let act = "Test refused to deactivate the account; its own words are in the bridge's log";
    assert_eq!(refused(again(), found(None)).await.as_deref(), Some(act));
    let first = || user(false, Existence::Present, false);
    assert_eq!(refused(first(), None).await, None, "ended by somebody");
    assert_eq!(refused(first(), found(None)).await.as_deref(), Some(act));
}

#[tokio::test]
async fn an_account_that_is_there_already_is_made_anew_only_if_it_was_ended() {
    let app = scripted(|_| {
        Err(UpstreamError::Exists {
            reason: "409".into(),
        })
    });
    let mut turn = unsure(true, Existence::Absent);
    turn.work.observed.role = Some("lead".into());
    let learned = alone(&app, turn).await;
    assert!(!learned.recreated && learned.settled);
    let observed = learned.observed.unwrap();
    assert_eq!(observed.existence, Existence::Present);
    assert_eq!((observed.role, observed.profile), (None, None));
    let back = deactivated(user(true, Existence::Absent, false));
    let learned = alone(&app, back).await;
    assert!(learned.recreated && !learned.observed.unwrap().deactivated);
    // Nor is one that was just made for the first time.
    let app = scripted(all_done);
    let learned = alone(&app, user(true, Existence::Absent, false)).await;
    assert!(learned.settled && !learned.recreated);
}

#[tokio::test]
async fn what_was_not_sent_is_as_sure_as_before() {
    for (error, pause) in [
        (later(), Pause::BackOff),
        (
            UpstreamError::Denied {
                reason: "401".into(),
            },
            Pause::UntilAccepted,
        ),
    ] {
        let app = scripted(move |_| Err(error.clone()));
        let sure = user(true, Existence::Absent, false);
        let (learned, rest) = user_turn(&app, sure, None).await;
        assert!(learned.settled && learned.refused.is_none());
        assert_eq!(rest, pause);
        let (learned, rest) = user_turn(&app, unsure(true, Existence::Absent), None).await;
        assert!(!learned.settled && learned.refused.is_none());
        assert_eq!(rest, pause);
    }
}

#[tokio::test]
async fn what_an_account_is_made_with_is_known_of_it_and_what_is_cleared_is_gone() {
    let app = scripted(all_done);
    let mut turn = user(true, Existence::Absent, false);
    turn.work.wanted.role = Some("lead".into());
    turn.work.wanted.profile = fields(&[("team", "red")]);
    turn.work.wanted.creation = fields(&[("team", "red")]);
    turn.work.observed.profile = None;
    let carried = turn.work.wanted.carried_by_creation();
    let observed = alone(&app, turn).await.observed.unwrap();
    assert_eq!(observed.role.as_deref(), Some("lead"));
    assert_eq!(observed.profile, Some(carried));

    let mut turn = user(true, Existence::Present, false);
    turn.work.wanted.profile = fields(&[("team", "red")]);
    turn.work.observed.profile = Some(fields(&[("team", "blue"), ("desk", "4")]));
    let observed = alone(&app, turn).await.observed.unwrap();
    assert_eq!(observed.profile, Some(fields(&[("team", "red")])));
    assert!(observed.record);
}

#[tokio::test]
async fn a_refusal_says_what_was_refused() {
    let refused = async |turn| {
        let app = scripted(|_| Err(rejected()));
        let learned = alone(&app, turn).await;
        assert!(learned.settled);
        learned.refused.unwrap()
    };
    let says = |act| format!("Test refused to {act}; its own words are in the bridge's log");
    let fresh = user(true, Existence::Absent, false);
    assert_eq!(refused(fresh).await, says("create the account"));
    let mut role = user(true, Existence::Present, false);
    role.work.wanted.role = Some("lead".into());
    assert_eq!(refused(role).await, says("set the site role"));
    let mut profile = user(true, Existence::Present, false);
    profile.work.wanted.profile = fields(&[("team", "red")]);
    assert_eq!(refused(profile).await, says("update the profile"));
}

#[tokio::test(start_paused = true)]
async fn only_the_end_of_an_account_changes_what_was_told_of_it() {
    let family = crate::plan::state::Family {
        name: "acme".into(),
        rank: 1,
    };
    let told = || {
        let mut told = Told::nothing(None, READ_LAG);
        told.has(&family, Some(1));
        told
    };
    // Nothing is ended by a change of a role.
    let app = scripted(all_done);
    let mut role = user(true, Existence::Present, false);
    role.work.wanted.role = Some("lead".into());
    let mut lately = told();
    let (learned, pause) = user_turn(&app, role, Some(&mut lately)).await;
    assert_eq!((learned.settled, pause), (true, Pause::None));
    assert_eq!(lately.doubts(&family, true), None, "that is as it was");
    // What was cut off may have been done or not, and is sent again.
    let app = scripted(|_| {
        Err(UpstreamError::Unknown {
            reason: "cut".into(),
        })
    });
    let mut lately = told();
    let end = user(false, Existence::Present, false);
    let (learned, pause) = user_turn(&app, end, Some(&mut lately)).await;
    assert_eq!((learned.settled, pause), (false, Pause::BackOff));
    assert!(lately.doubts(&family, true).is_some());
    assert!(lately.doubts(&family, false).is_some(), "nor is it sure");
}

#[tokio::test]
async fn an_account_that_cannot_be_ended_is_left_to_the_lanes_of_its_groups() {
    let mut app = scripted(all_done);
    app.can.rows.retain(|row| row.act != Act::DeactivateUser);
    let learned = alone(&app, user(false, Existence::Present, false)).await;
    assert!(learned.withdraws && learned.settled && learned.refused.is_none());
    let turn = |ended| UserTurn {
        withdrawn: Some(ended),
        ..user(false, Existence::Present, false)
    };
    let learned = alone(&app, turn(Withdrawn::Whole)).await;
    assert!(learned.withdrawn && !learned.withdraws && learned.refused.is_none());
    let learned = alone(&app, turn(Withdrawn::Refused("no".into()))).await;
    let reason = learned.refused.unwrap();
    assert!(
        learned.withdrawn && reason.starts_with("no; everything else"),
        "{reason}"
    );
    // Of one that may not be there it is found out first, and nothing is ended.
    app.user = found(Some(SINCE));
    let learned = alone(&app, unsure(false, Existence::Unknown)).await;
    assert!(learned.withdraws);
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    app.user = None;
    let learned = alone(&app, unsure(false, Existence::Absent)).await;
    assert!(learned.settled && !learned.withdraws);
    assert_eq!(sent(&app), []);
}

#[tokio::test]
async fn who_was_ended_before_is_looked_for_and_ended_only_where_something_is_shown() {
    let turn = || UserTurn {
        unjudged: true,
        ..deactivated(unsure(false, Existence::Absent))
    };
    let mut app = scripted(all_done);
    let learned = alone(&app, turn()).await;
    assert!(learned.settled && !learned.found && learned.observed.is_none());
    app.user = found(Some(SINCE));
    let learned = alone(&app, turn()).await;
    assert!(learned.settled && learned.found && learned.refused.is_none());
    assert_eq!(learned.observed.unwrap().existence, Existence::Present);
    assert_eq!(sent(&app), [], "the guard is asked first");
}

#[tokio::test]
async fn what_is_learned_says_of_which_account_it_is() {
    let app = scripted(all_done);
    for turn in [
        user(true, Existence::Absent, false),
        user(false, Existence::Present, false),
        unsure(true, Existence::Unknown),
    ] {
        let learned = alone(&app, turn).await;
        assert_eq!(learned.about.as_deref(), Some("u1@example.com"));
    }
}

#[tokio::test]
async fn who_is_linked_stays_so_where_several_accounts_can_have_the_address() {
    for (families, known, learned_id) in [
        (false, Some("3"), Some("7")),
        (true, None, Some("7")),
        (true, Some("3"), None),
    ] {
        let mut app = scripted(all_done);
        (app.families, app.user) = (families, found(None));
        let mut turn = unsure(true, Existence::Unknown);
        turn.work.principal.upstream_id = known.map(str::to_owned);
        let learned = alone(&app, turn).await;
        assert_eq!(learned.upstream_id.as_deref(), learned_id, "{known:?}");
    }
}
