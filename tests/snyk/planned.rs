//! A plan names the calls: whose membership is made, whose role is changed from
//! what to what, and whose is deleted; and just these are made then.

use super::*;

#[tokio::test]
async fn a_plan_names_the_call_for_each_user() {
    let world = snyk().await;
    let (viewers, members) = (role(&world, VIEWER).await, role(&world, MEMBER).await);
    let ids = ["ann", "ben", "vic", "mel"].map(async |name| id_of_user(&world, name).await);
    let ids = futures_util::future::join_all(ids).await;
    let [ann, ben, vic, mel] = &ids[..] else {
        panic!("{ids:?}")
    };
    add(&world, &members, ben).await.expect(204);
    add(&world, &viewers, ben).await.expect(204);
    world.run(&["pause"]);
    eventually("it is paused", async || {
        world.status().await["everythingPaused"] == true
    })
    .await;
    add(&world, &viewers, ann).await.expect(204);
    add(&world, &viewers, mel).await.expect(204);
    remove(&world, &viewers, vic).await.expect(204);
    remove(&world, &viewers, ben).await.expect(204);
    let (said, wrong, ok) = world.run(&["plan", "--connection", "acme"]);
    assert!(ok, "{said} {wrong}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let lanes = told["pending"].as_array().unwrap().iter();
    let calls = lanes.flat_map(|lane| lane["calls"].as_array().unwrap());
    let calls: BTreeSet<&str> = calls.map(|call| call.as_str().unwrap()).collect();
    let of = |id: &String| {
        format!("of User {id} in the Snyk Group 10000000-0000-4000-8000-000000000001")
    };
    let expected = [
        format!(
            "create the membership {} with the role group_viewer",
            of(ann)
        ),
        format!(
            "change the role {} from group_member to group_viewer",
            of(mel)
        ),
        format!("delete the membership {}", of(vic)),
        format!(
            "change the role {} from group_viewer to group_member",
            of(ben)
        ),
    ];
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(calls, expected, "{told:#}");

    let progress = async || {
        let status = world.status().await["connections"][0].clone();
        let of = &status["asAsked"]["memberships"];
        let number = |of: &Value| of.as_u64().unwrap();
        let open = number(&status["pending"]["memberships"]);
        (number(&of["done"]) + open, number(&of["all"]), open)
    };
    let (done_and_open, all, open) = progress().await;
    assert_eq!((done_and_open, open), (all, 4));
    let (said, _, _) = world.run(&["status"]);
    let told = format!("as asked: {} of {all} memberships", all - open);
    assert!(said.contains(&told), "{told}: {said}");

    world.forget_calls().await;
    world.run(&["resume"]);
    eventually("it is done", async || {
        roles(&world, "vic").await.is_empty() && roles(&world, "ben").await == just(MEMBER)
    })
    .await;
    eventually("the rest too", async || {
        roles(&world, "ann").await == just(VIEWER)
    })
    .await;
}
