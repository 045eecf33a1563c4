//! What answers told of somebody in a family: kept with what the turn learned, and
//! believed while nothing else may be so.
use super::*;
use crate::plan::state::Holding;

fn holding(id: &str, group: &str) -> Holding {
    Holding {
        account: "account".into(),
        id: id.into(),
        group: group.into(),
        age: Some(std::time::Duration::from_secs(1)),
        formerly: Vec::new(),
    }
}

impl Roles {
    /// A turn of which the answer told this.
    async fn told(&self, group: GroupKey, held: Option<Holding>) {
        let turn = self.turn(group).await.expect("the lane has work");
        let keys = |of: &[Principal]| of.iter().map(|it| it.user).collect::<Vec<_>>();
        let (present, absent) = (keys(&turn.work.adds), keys(&turn.work.removes));
        let users = present.iter().chain(&absent);
        let learned = GroupLearned {
            holdings: users.map(|user| (*user, held.clone())).collect(),
            present,
            absent,
            ..GroupLearned::default()
        };
        self.end(&turn, learned).await;
    }

    /// The id that is kept, when it was told, and whether there is anything.
    async fn kept(
        &self,
        group: GroupKey,
        user: &UserWritten,
        wanted: bool,
    ) -> (Option<String>, Option<i64>, bool) {
        let counting = self.counts(group, user, wanted).await.unwrap();
        let id = counting.holding.map(|it| it.id);
        (id, counting.told, counting.has)
    }
}

#[tokio::test]
async fn what_an_answer_told_is_kept_and_counts_while_nothing_else_is_awaited() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, viewer, admin) = (&users[0], roles.viewer, roles.admin);
    let id = || Some("m1".to_owned());
    roles.set(viewer, ann, true).await;
    roles.turn(viewer).await.unwrap();
    assert_eq!(roles.kept(viewer, ann, true).await, (None, None, false));
    roles.told(viewer, Some(holding("m1", "viewer"))).await;

    roles.set(admin, ann, true).await;
    roles.turn(admin).await.unwrap();
    let certain = (id(), Some(2_000), true);
    assert_eq!(roles.kept(admin, ann, true).await, certain);
    // The process ended before an answer came: handed out again it is in doubt.
    roles.turn(admin).await.unwrap();
    let open = (id(), None, true);
    assert_eq!(roles.kept(admin, ann, true).await, open);
    // Also for the other group, which is certain of itself.
    roles.set(viewer, ann, false).await;
    roles.turn(viewer).await.unwrap();
    assert_eq!(roles.kept(viewer, ann, false).await, open);
    roles.told(admin, Some(holding("m1", "admin"))).await;
    roles.told(viewer, Some(holding("m1", "admin"))).await;

    roles.set(admin, ann, false).await;
    roles.turn(admin).await.unwrap();
    assert_eq!(roles.kept(admin, ann, false).await, certain);
    roles.told(admin, None).await;
    roles.set(viewer, ann, true).await;
    roles.turn(viewer).await.unwrap();
    assert_eq!(roles.kept(viewer, ann, true).await, (None, None, false));
}

#[tokio::test]
async fn a_call_that_may_land_still_makes_it_uncertain() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let (ann, viewer, admin) = (&users[0], roles.viewer, roles.admin);
    roles.set(viewer, ann, true).await;
    roles.told(viewer, Some(holding("m1", "viewer"))).await;
    roles.set(admin, ann, true).await;
    roles.add_unheard(admin).await;
    roles.told(admin, Some(holding("m1", "admin"))).await;
    roles.set(admin, ann, false).await;
    roles.turn(admin).await.unwrap();
    let doubted = (Some("m1".to_owned()), None, true);
    assert_eq!(roles.kept(admin, ann, false).await, doubted);
}
