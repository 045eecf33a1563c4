//! Accounts that were made anew, of whom one turn looks after a few.
use super::*;

fn known_by_ids_of_before(members: &mut [Principal]) {
    for member in members {
        member.upstream_id = Some(format!("old {}", member.user.0));
    }
}

#[tokio::test]
async fn who_is_looked_for_no_more_in_this_turn_is_not_believed_to_be_gone() {
    let app = scripted(|_| Ok(Outcome::default()));
    // A list of ids alone.
    let listed = RemoteMember {
        upstream_id: Some("somebody else's".into()),
        ..RemoteMember::default()
    };
    app.members.lock().unwrap().push_back(vec![listed]);
    let mut work = group(0..0, 10..50);
    known_by_ids_of_before(&mut work.work.removes);
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(sorted(learned.absent), (10..42).collect::<Vec<_>>());
    assert_eq!(pause, Pause::BackOff, "the others are looked for later");
    assert_eq!((learned.refused, learned.unsent), (vec![], vec![]));
}

#[tokio::test]
async fn one_turn_learns_a_few_ids_and_refuses_who_is_refused_after_that() {
    let by_old = |it: &Principal| it.upstream_id.as_ref().is_some_and(|id| id != "new");
    let mut app = scripted(move |operation| match operation {
        Operation::AddMembers { members, .. } if members.iter().any(by_old) => Err(rejected()),
        _ => all_done(operation),
    });
    app.user = shown_as("new");
    let mut work = group(0..40, 0..0);
    known_by_ids_of_before(&mut work.work.adds);
    let (learned, pause) = turn(&app, work).await;
    assert_eq!(pause, Pause::None);
    assert_eq!((learned.ids.len(), learned.present.len()), (32, 32));
    assert_eq!(learned.refused.len(), 8);
}
