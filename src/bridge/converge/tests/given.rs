//! Groups that the application knows by ids that it gives.
use super::*;

fn called(names: &[&str]) -> Scripted {
    let mut app = scripted(|operation| match operation {
        Operation::CreateGroup { .. } => Ok(Outcome {
            upstream_id: Some("g9".into()),
            ..Outcome::default()
        }),
        _ => Ok(Outcome::default()),
    });
    let group = |name: &&str| RemoteGroup {
        name: (*name).into(),
        created: Some(1),
        ..RemoteGroup::default()
    };
    app.called = names.iter().map(group).collect();
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        by: Identifier::Id,
        ..app.can.rows[0].clone()
    });
    app
}

fn nameless(observed: Existence) -> GroupTurn {
    let mut turn = group(0..0, 0..0);
    turn.work.observed = observed;
    turn.work.name = "?".into();
    turn.work.naming = Naming::Given(Given {
        title: "Crew".into(),
        made_as: Some("Crew".into()),
        ..Given::default()
    });
    turn
}

fn change(turn: &mut GroupTurn, change: impl FnOnce(&mut Given)) {
    if let Naming::Given(given) = &mut turn.work.naming {
        change(given);
    }
}

fn sent(app: &Scripted) -> Vec<Operation> {
    app.sent.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_take_effect_is_looked_at_and_said_more_and_more_seldom() {
    let mut app = called(&[]);
    app.answer = Box::new(|_| {
        Err(UpstreamError::Unknown {
            reason: "called as before".into(),
        })
    });
    app.group = Some(RemoteGroup {
        name: "g9".into(),
        ..RemoteGroup::default()
    });
    let mut work = nameless(Existence::Present);
    work.work.name = "g9".into();
    change(&mut work, |given| {
        (given.known, given.renamed) = (true, true)
    });
    let mut doubts = Doubts::new();
    let mut said = Vec::new();
    for second in 0..200 {
        let before = app.calls();
        let (learned, pause) =
            group_turn(&app, work.clone(), &Written::default(), &mut doubts).await;
        assert_eq!((learned.title_open, pause), (true, Pause::BackOff));
        assert_eq!(learned.titled, None);
        said.extend((app.calls() > before).then_some(second));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(said, [0, 10, 20, 30, 40, 56, 88, 152]);
    // Another name is said at once, and one that is shown is done.
    change(&mut work, |given| given.title = "Other".into());
    let before = app.calls();
    group_turn(&app, work.clone(), &Written::default(), &mut doubts).await;
    assert_eq!(app.calls(), before + 1);
    let shown = app.group.as_mut().unwrap();
    shown.fields.insert("title".into(), "Other".into());
    let (learned, pause) = group_turn(&app, work, &Written::default(), &mut doubts).await;
    assert_eq!((app.calls(), pause), (before + 1, Pause::None));
    let learned = (learned.titled.as_deref(), learned.title_open);
    assert_eq!(learned, (Some("Other"), false));
}

#[tokio::test]
async fn the_answer_to_a_creation_tells_the_id() {
    let app = called(&["not looked for"]);
    let (learned, pause) = turn(&app, nameless(Existence::Absent)).await;
    let create = Operation::CreateGroup {
        name: "Crew".into(),
        members: Vec::new(),
    };
    assert_eq!((sent(&app), pause), (vec![create], Pause::None));
    let learned = (learned.name, learned.titled, learned.existence);
    let told = (
        Some("g9".into()),
        Some("Crew".into()),
        Some(Existence::Present),
    );
    assert_eq!(learned, told);
}

#[tokio::test]
async fn an_answer_without_an_id_is_none() {
    let app = scripted(|_| Ok(Outcome::default()));
    let (learned, pause) = turn(&app, nameless(Existence::Absent)).await;
    assert_eq!((learned.name, learned.existence), (None, None));
    assert_eq!(
        (learned.calls[0].1.as_str(), pause),
        (UNANSWERED, Pause::BackOff)
    );
}

/// Every id is another group's.
struct Taken;

#[async_trait]
impl Since for Taken {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }

    async fn is_anothers(&self, _: &str) -> Result<bool, StoreError> {
        Ok(true)
    }
}

#[tokio::test]
async fn an_answer_with_the_id_of_another_group_is_none() {
    let app = called(&[]);
    let work = nameless(Existence::Absent);
    let (learned, pause) = group_turn(&app, work, &Taken, &mut Doubts::new()).await;
    assert_eq!((learned.name, learned.existence), (None, None));
    assert_eq!(
        (learned.calls[0].1.as_str(), pause),
        (UNANSWERED, Pause::BackOff)
    );
}

#[tokio::test]
async fn what_an_unanswered_creation_made_is_found_and_nothing_is_sent() {
    let app = called(&["g7"]);
    let (learned, pause) = turn(&app, nameless(Existence::Unknown)).await;
    assert_eq!((sent(&app), pause), (vec![], Pause::None));
    assert_eq!(learned.name.as_deref(), Some("g7"));
    assert_eq!(learned.existence, Some(Existence::Present));
}

#[tokio::test]
async fn what_is_called_so_and_holds_others_is_not_what_was_made() {
    for wanted in [true, false] {
        let app = called(&["g7"]);
        app.members.lock().unwrap().push_back(vec![RemoteMember {
            account: Some("another@example.com".into()),
            ..RemoteMember::default()
        }]);
        let mut work = nameless(Existence::Unknown);
        (work.work.wanted, work.doubted) = (wanted, true);
        let (learned, pause) = turn(&app, work).await;
        assert_eq!((sent(&app), pause), (vec![], Pause::Look));
        assert_eq!((learned.name, learned.existence), (None, None));
    }
}

#[tokio::test]
async fn it_is_looked_for_by_what_it_was_called_then_and_called_as_it_is_now() {
    let app = called(&["g7"]);
    let mut work = nameless(Existence::Unknown);
    change(&mut work, |given| given.title = "New Crew".into());
    let (learned, _) = turn(&app, work).await;
    let rename = Operation::RenameGroup {
        name: "g7".into(),
        title: "New Crew".into(),
    };
    assert_eq!(sent(&app), [rename]);
    assert_eq!(
        (learned.titled.as_deref(), learned.title_open),
        (Some("New Crew"), false)
    );
}

#[tokio::test]
async fn a_replacement_after_a_new_name_leaves_out_who_was_written_since() {
    for (written, after) in [(vec![], 1), (vec![UserKey(0), UserKey(11)], 3)] {
        let mut app = scripted(all_done);
        app.can.rows.push(Capability {
            act: Act::RenameGroup,
            by: Identifier::Id,
            ..app.can.rows[0].clone()
        });
        app.removes_singly();
        let mut work = renamed();
        work.work.adds = (0..2).map(principal).collect();
        work.work.removes = (10..13).map(principal).collect();
        work.work.full = Some(work.work.adds.clone());
        let since = Written(written.clone());
        let (learned, pause) = group_turn(&app, work, &since, &mut Doubts::new()).await;
        let (sent, named) = (sent(&app), |it: &Operation| members_of(it));
        assert!(matches!(sent[0], Operation::RenameGroup { .. }), "{sent:?}");
        assert_eq!((sent.len(), pause), (1 + after, Pause::None), "{sent:?}");
        let told: Vec<UserKey> = sent.iter().flat_map(named).collect();
        assert!(told.iter().all(|user| !written.contains(user)), "{sent:?}");
        let left = written.iter().map(|user| user.0).collect::<Vec<_>>();
        assert_eq!(sorted(learned.unsent), left);
        let done = learned.present.len() + learned.absent.len();
        assert_eq!(done, 5 - written.len());
    }
}

#[tokio::test]
async fn one_that_is_not_wanted_any_more_is_found_and_deleted() {
    // Made after it was asked for, as far as an application tells that that counts in
    // seconds.
    for since in [1, 1_000] {
        let app = called(&["g7"]);
        let mut work = nameless(Existence::Unknown);
        work.work.wanted = false;
        change(&mut work, |given| given.since = since);
        let (learned, _) = turn(&app, work).await;
        assert_eq!(sent(&app), [Operation::DeleteGroup { name: "g7".into() }]);
        assert_eq!(learned.existence, Some(Existence::Absent));
    }
}

/// It may have been there before, where its age is not told, or is older than what was
/// asked for but for clocks that differ: it is used, as it would be made twice otherwise,
/// and not deleted.
#[tokio::test]
async fn an_empty_one_that_may_be_older_is_taken_over_and_never_deleted_for_that() {
    for age in [None, Some(1)] {
        an_empty_one_is_only_used(age).await;
    }
}

fn asked_for(observed: Existence) -> GroupTurn {
    let mut work = nameless(observed);
    change(&mut work, |given| given.since = 1_001);
    work
}

async fn an_empty_one_is_only_used(age: Option<Millis>) {
    let aged = || {
        let mut app = called(&["g7"]);
        app.called[0].created = age;
        app
    };
    let app = aged();
    let (learned, _) = turn(&app, asked_for(Existence::Unknown)).await;
    assert_eq!(learned.name.as_deref(), Some("g7"));
    assert!(learned.unproven);
    for doubted in [true, false] {
        let app = aged();
        let mut work = asked_for(Existence::Unknown);
        (work.work.wanted, work.doubted) = (false, doubted);
        let (learned, pause) = turn(&app, work).await;
        let told: Vec<&str> = learned.remains.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((told, sent(&app)), (vec!["g7"], vec![]));
        assert_eq!(pause == Pause::Look, doubted);
    }
    // A look has shown nothing before.
    let app = aged();
    let mut work = asked_for(Existence::Unknown);
    (work.work.wanted, work.shown_absent) = (false, true);
    work.guess = Some(Guess {
        unproven: true,
        ..Guess::default()
    });
    turn(&app, work).await;
    assert_eq!(sent(&app), [Operation::DeleteGroup { name: "g7".into() }]);
    // What was taken over so and is deleted later.
    let mut app = aged();
    app.group = Some(app.called[0].clone());
    let mut work = asked_for(Existence::Present);
    (work.work.wanted, work.work.made) = (false, true);
    work.work.name = "g7".into();
    change(&mut work, |given| given.known = true);
    work.guess = Some(Guess {
        unproven: true,
        ..Guess::default()
    });
    let (learned, _) = turn(&app, work).await;
    assert_eq!((sent(&app), learned.remains.len()), (vec![], 1));
    assert!(learned.foreign.is_some());
}

#[tokio::test]
async fn one_with_an_age_is_ours_before_those_without() {
    let mut app = called(&["g6", "g7"]);
    app.called[0].created = None;
    let (learned, _) = turn(&app, nameless(Existence::Unknown)).await;
    assert_eq!(learned.name.as_deref(), Some("g7"));
    assert!(!learned.unproven);
    // Also one that may be older.
    let (learned, _) = turn(&app, asked_for(Existence::Unknown)).await;
    assert_eq!(learned.name.as_deref(), Some("g7"));
    assert!(learned.unproven);
}

#[tokio::test]
async fn one_that_counts_members_and_lists_none_is_not_what_was_made() {
    for wanted in [true, false] {
        let mut app = called(&["g7"]);
        app.called[0].member_count = Some(2);
        let mut work = nameless(Existence::Unknown);
        (work.work.wanted, work.doubted) = (wanted, true);
        let (learned, pause) = turn(&app, work).await;
        assert_eq!((sent(&app), pause), (vec![], Pause::Look));
        assert_eq!((learned.name, learned.existence), (None, None));
    }
}

/// Every group is another connection's.
struct Elsewhere;

#[async_trait]
impl Since for Elsewhere {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }

    async fn made_elsewhere(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }
}

#[tokio::test]
async fn what_another_connection_has_made_is_not_taken_over_nor_deleted() {
    let app = called(&["g7"]);
    let work = nameless(Existence::Unknown);
    let (learned, _) = group_turn(&app, work, &Elsewhere, &mut Doubts::new()).await;
    let refused = learned.group_refused.unwrap();
    assert!(refused.contains("another connection"), "{refused}");
    assert_eq!((learned.name, sent(&app)), (None, vec![]));
    let mut work = nameless(Existence::Unknown);
    work.work.wanted = false;
    let (learned, _) = group_turn(&app, work, &Elsewhere, &mut Doubts::new()).await;
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert_eq!((sent(&app), learned.remains.len()), (vec![], 0));
}

#[tokio::test]
async fn what_is_not_found_is_waited_for_and_made_only_when_it_cannot_land_any_more() {
    let app = called(&[]);
    let mut work = nameless(Existence::Unknown);
    work.doubted = true;
    let (learned, pause) = turn(&app, work).await;
    assert_eq!((learned.existence, pause), (None, Pause::Look));
    let mut work = nameless(Existence::Unknown);
    work.work.adds = vec![principal(1)];
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Absent), Pause::None)
    );
    assert_eq!(
        (sorted(learned.unsent), learned.group_refused),
        (vec![1], None)
    );
    assert_eq!(
        sent(&app),
        [],
        "the next turn notes what it sends, and sends it"
    );
}

#[tokio::test]
async fn of_two_that_it_may_be_none_is_taken_over() {
    let app = called(&["g7", "g8"]);
    let (learned, _) = turn(&app, nameless(Existence::Unknown)).await;
    assert!(learned.group_refused.is_some() && learned.name.is_none());
    let mut work = nameless(Existence::Unknown);
    work.work.wanted = false;
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(learned.existence, Some(Existence::Absent));
    assert_eq!(learned.group_refused, None, "nobody asks for it any more");
    assert_eq!((sent(&app), pause), (vec![], Pause::None));
}

fn renamed() -> GroupTurn {
    let mut work = nameless(Existence::Present);
    work.work.made = true;
    change(&mut work, |given| {
        (given.known, given.renamed) = (true, true);
    });
    work
}

#[tokio::test]
async fn a_rename_that_was_not_answered_stays_open() {
    let app = scripted(|_| {
        Err(UpstreamError::Unknown {
            reason: "cut".into(),
        })
    });
    let mut app = app;
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        ..app.can.rows[0].clone()
    });
    let (learned, pause) = turn(&app, renamed()).await;
    assert_eq!((learned.titled, learned.title_open), (None, true));
    assert_eq!(pause, Pause::BackOff);
}

#[tokio::test]
async fn a_rename_of_what_is_gone_says_so_and_makes_nothing() {
    let mut app = scripted(|_| {
        Err(UpstreamError::Missing {
            reason: "404".into(),
        })
    });
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        ..app.can.rows[0].clone()
    });
    let (learned, pause) = turn(&app, renamed()).await;
    let refused = learned.group_refused.unwrap();
    assert!(refused.contains("does not know it any more"), "{refused}");
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Absent), Pause::None)
    );
    let mut unsure = renamed();
    unsure.work.observed = Existence::Unknown;
    let (learned, _) = turn(&app, unsure).await;
    assert!(learned.group_refused.is_some());
    assert_eq!(app.calls(), 1, "it was looked for, and is not there");
}

#[tokio::test]
async fn it_is_looked_for_from_a_little_before_it_was_asked_for() {
    let app = called(&["g7"]);
    let mut work = nameless(Existence::Unknown);
    change(&mut work, |given| given.since = 1_800_000_000_000);
    turn(&app, work).await;
    let asked_for = app.asked_for.lock().unwrap().clone();
    assert_eq!(
        asked_for,
        [("Crew".to_owned(), 1_800_000_000_000 - 300_000)]
    );
    // What was never begun is nowhere.
    let mut work = nameless(Existence::Unknown);
    change(&mut work, |given| given.made_as = None);
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(app.asked_for.lock().unwrap().len(), 1);
    assert_eq!(
        (learned.existence, pause),
        (Some(Existence::Absent), Pause::None)
    );
}

#[tokio::test]
async fn nothing_is_sent_while_it_cannot_be_looked_for() {
    let mut app = called(&["g7"]);
    app.blind = true;
    let mut work = nameless(Existence::Unknown);
    work.work.adds = vec![principal(1)];
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(pause, Pause::For(Duration::from_secs(3)));
    assert_eq!((sent(&app), learned.existence), (vec![], None));
    assert_eq!(sorted(learned.unsent), [1]);
}

#[tokio::test]
async fn what_it_is_called_there_is_compared_after_a_look() {
    let titled = async |title: &str, renamed: bool| {
        let mut app = called(&[]);
        app.group = Some(RemoteGroup {
            name: "?".into(),
            fields: [("title".to_owned(), title.to_owned())].into(),
            ..RemoteGroup::default()
        });
        let mut work = nameless(Existence::Unknown);
        change(&mut work, |given| {
            (given.known, given.renamed) = (true, renamed);
        });
        let (learned, pause) = turn(&app, work).await;
        assert_eq!(
            (learned.existence, pause),
            (Some(Existence::Present), Pause::None)
        );
        let renames = |it: &Operation| matches!(it, Operation::RenameGroup { .. });
        let sent = sent(&app);
        assert!(sent.iter().all(renames) && !learned.title_open);
        !sent.is_empty()
    };
    assert!(!titled("Crew", false).await);
    assert!(titled("Old Crew", false).await);
    assert!(titled("Crew", true).await, "that look may lag");
}

#[tokio::test]
async fn a_rename_that_is_refused_is_told_and_the_members_are_sent_all_the_same() {
    let mut app = scripted(|operation| match operation {
        Operation::RenameGroup { .. } => Err(rejected()),
        _ => all_done(operation),
    });
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        ..app.can.rows[0].clone()
    });
    let mut work = renamed();
    work.work.adds = vec![principal(1)];
    let (learned, _) = turn(&app, work).await;
    assert!(
        learned
            .group_refused
            .unwrap()
            .contains("refused to rename the group")
    );
    assert_eq!(
        (sorted(learned.present), learned.existence),
        (vec![1], None)
    );
}

#[tokio::test]
async fn one_whose_id_is_known_is_not_looked_for_by_what_it_is_called() {
    let app = called(&["g7"]);
    let mut work = nameless(Existence::Present);
    change(&mut work, |given| given.known = true);
    let (learned, _) = turn(&app, work).await;
    assert!(app.asked_for.lock().unwrap().is_empty() && learned.name.is_none());
    // Its rule has no ids to give, and what is made by a name has no title.
    let app = called(&[]);
    let mut by_name = group(0..0, 0..0);
    by_name.work.observed = Existence::Absent;
    let (learned, _) = turn(&app, by_name).await;
    assert_eq!((learned.name, learned.titled), (None, None));
    assert_eq!(learned.existence, Some(Existence::Present));
}

/// Fails as a store does that is gone for a moment.
#[derive(Default)]
struct Away(AtomicUsize);

#[async_trait]
impl Since for Away {
    async fn written(&self, _: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Err(StoreError::Unavailable("gone".into())),
            _ => Ok(Vec::new()),
        }
    }

    async fn without_row(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(names)
    }
}

#[tokio::test]
async fn who_went_back_unsent_is_in_no_call_that_comes_instead_of_a_replacement() {
    let mut app = scripted(|operation| match operation {
        Operation::ReplaceMembers { .. } => Err(rejected()),
        _ => all_done(operation),
    });
    app.removes_singly();
    app.can.rows.push(Capability {
        act: Act::RenameGroup,
        ..app.can.rows[0].clone()
    });
    let replaced = || {
        let mut work = renamed();
        work.work.adds = vec![principal(0), principal(1)];
        work.work.removes = vec![principal(10), principal(11)];
        work.work.full = Some(work.work.adds.clone());
        work
    };
    let (learned, _) = group_turn(&app, replaced(), &Away::default(), &mut Doubts::new()).await;
    assert_eq!(sorted(learned.unsent), [0, 1, 10, 11]);
    assert_eq!(app.calls(), 1, "the new name alone");
    let (learned, _) = turn(&app, replaced()).await;
    assert_eq!(sorted(learned.present), [0, 1]);
    assert_eq!(sorted(learned.absent), [10, 11]);
}
