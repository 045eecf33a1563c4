//! Two connections of one bridge at one tenant: each group and account there is
//! managed by the one that changed it first (reliability: H-18, I-26).

use serde_json::json;

use crate::support::{World, group, user, values};

mod roles;

#[tokio::test]
async fn what_one_connection_manages_is_refused_to_the_other_until_it_lets_go() {
    let (mut world, mut other) = World::pair().await;
    let a = world.user("a").await;
    let team = world.group("team", std::slice::from_ref(&a)).await;
    world.turn_to(&mut other);
    let b = world.user("b").await;
    let (refused, calls) = world
        .calls_of(async {
            let group = world
                .post("/Groups", group("team", std::slice::from_ref(&b)))
                .await;
            let user = world.post("/Users", user("a")).await;
            [group.expect(403), user.expect(403)]
        })
        .await;
    assert_eq!(calls, Vec::<serde_json::Value>::new());
    for answer in refused {
        let said = answer.body.to_string();
        assert!(said.contains("managed elsewhere in this bridge"), "{said}");
        assert!(!said.contains("acme") && !said.contains(&a), "{said}");
    }
    // What is its own is not touched by that.
    world.group("theirs", std::slice::from_ref(&b)).await;
    let (ok, said) = world.command(&["check"]);
    assert!(
        ok && said.contains("leads to the same application"),
        "{said}"
    );

    world.turn_to(&mut other);
    let more = json!([{ "op": "replace", "path": "members", "value": values(&[a]) }]);
    let path = format!("/Groups/{team}");
    world.patch(&path, more).await.expect(204);
    let taken = world.post("/Groups", group("theirs", &[])).await;
    assert_eq!(taken.status.as_u16(), 403, "{taken:?}");
    world.send("DELETE", &path, None).await.expect(204);
    world.turn_to(&mut other);
    world.group("team", &[b]).await;
}
