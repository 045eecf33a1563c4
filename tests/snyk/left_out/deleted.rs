//! Whoever leaves waits for a Snyk Group that was deleted in Snyk, as that is answered
//! like one that the credential has lost, until an operator says that it is gone.

use super::*;

/// The company, of which Labs was deleted.
fn without_labs() -> Value {
    let mut company = company();
    let groups = company["groups"].as_array_mut().unwrap();
    groups.retain(|team| team["name"] != "Labs");
    company
}

/// As long as nobody says that Labs is gone, it is not; then it is told.
async fn is_gone_as_an_operator_says(world: &World, waits: &[&String]) {
    eventually("it is told who waits, and what to do", async || {
        let here = here(world).await;
        let all = here["waiting"].as_array().unwrap();
        waits.iter().all(|id| {
            let mut of = all.iter().filter(|it| it["user"] == **id);
            of.any(|it| {
                let reason = it["reason"].as_str().unwrap();
                reason.contains(&snyk_group(2)) && reason.contains("--apply --shrunk")
            })
        })
    })
    .await;
    world.run(&["reconcile", "--apply"]);
    assert_eq!(here(world).await["pending"]["users"], waits.len());
    let (said, wrong, _) = world.run(&["reconcile", "--apply", "--shrunk"]);
    let told = format!("{} is not there any more", snyk_group(2));
    assert!(said.contains(&told), "{said} {wrong}");
    nothing_is_open(world).await;
    assert_eq!(here(world).await["waiting"], json!([]));
    let (audit, ..) = world.run(&["audit", "export"]);
    let lost = format!("\"lost\":\"{}\"", snyk_group(2));
    assert!(audit.replace(' ', "").contains(&lost), "{audit}");
    assert!(world.log().contains("is gone, as an operator says"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_snyk_group_that_was_left_out_and_deleted_is_done_when_an_operator_says_so()
{
    let mut scene = Scene::new("").await;
    scene.offer(&BOTH, &BOTH[..2]);
    scene.world.seed(without_labs()).await;
    for id in [&scene.ann, &scene.mel] {
        activate(&scene.world, id, false).await.expect(200);
    }
    scene.delete(&scene.ben).await;
    let all = [&scene.ann, &scene.ben, &scene.mel];
    is_gone_as_an_operator_says(&scene.world, &all).await;
    let (said, _, ok) = scene.world.run(&["status"]);
    assert!(ok, "{said}");
    let (said, ..) = scene.world.run(&["reconcile", "--apply", "--shrunk"]);
    assert!(
        !said.contains("not there any more"),
        "it is said once: {said}"
    );

    // The token had only lost it.
    scene.world.seed(company()).await;
    activate(&scene.world, &scene.ann, true).await.expect(200);
    scene.offer(&BOTH[..2], &BOTH);
    eventually("ann has both again", async || {
        roles(&scene.world, "ann").await.len() == 2
    })
    .await;
    scene.world.run(&["reconcile", "--apply"]);
    scene.is_out(&["mel"]).await;
    nothing_is_open(&scene.world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_who_waits_for_one_that_is_listed_no_more() {
    let world = snyk_with(SOON, LINK).await;
    let mel = id_of_user(&world, "mel").await;
    world.seed(without_labs()).await;
    activate(&world, &mel, false).await.expect(200);
    is_gone_as_an_operator_says(&world, &[&mel]).await;
}
