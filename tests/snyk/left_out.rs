//! Who leaves, and is in a Snyk Group that the configuration names no more, or that
//! cannot be read: out of everything that can be read, at once, and of the rest it
//! is told. What was left out is no alarm.

use super::*;

mod deleted;

const SOON: &str = "read_lag = \"1s\"\nlate_writes = \"1s\"\nsync_wait = \"500ms\"";

/// By the name that Snyk has for it.
fn snyk_group(n: u8) -> String {
    format!("10000000-0000-4000-8000-{n:012x}")
}

fn offered(roles: &[(u8, &str)]) -> String {
    let one = |(group, role): &(u8, &str)| {
        let group = snyk_group(*group);
        format!("{{ group = \"{group}\", role = \"{role}\" }}")
    };
    let all: Vec<String> = roles.iter().map(one).collect();
    format!("groups = [{}]", all.join(", "))
}

const BOTH: [(u8, &str); 3] = [(1, VIEWER), (1, MEMBER), (2, MEMBER)];

/// Ann views Example, and she and Ben are members of Labs, as is Mel, who was found
/// there.
struct Scene {
    world: World,
    ann: String,
    ben: String,
    mel: String,
}

impl Scene {
    async fn new(own: &str) -> Self {
        let own = format!("{LINK}\n{own}\n{}", offered(&BOTH));
        let world = snyk_with(SOON, &own).await;
        let [ann, ben, mel] = ["ann", "ben", "mel"].map(|name| id_of_user(&world, name));
        let (ann, ben, mel) = (ann.await, ben.await, mel.await);
        let labs = role_of(&world, "Labs", MEMBER).await;
        add(&world, &role(&world, VIEWER).await, &ann)
            .await
            .expect(204);
        for id in [&ann, &ben] {
            add(&world, &labs, id).await.expect(204);
        }
        nothing_is_open(&world).await;
        Self {
            world,
            ann,
            ben,
            mel,
        }
    }

    fn offer(&mut self, before: &[(u8, &str)], now: &[(u8, &str)]) {
        let (before, now) = (offered(before), offered(now));
        self.world.reconfigure(|text| text.replace(&before, &now));
        self.world.import();
    }

    async fn is_out(&self, names: &[&str]) {
        eventually(&format!("{names:?} are out"), async || {
            for name in names {
                if !roles(&self.world, name).await.is_empty() {
                    return false;
                }
            }
            true
        })
        .await;
    }

    async fn delete(&self, id: &str) {
        let path = format!("/Users/{id}");
        self.world.send("DELETE", &path, None).await.expect(204);
    }
}

async fn here(world: &World) -> Value {
    world.status().await["connections"][0].clone()
}

async fn nothing_is_open(world: &World) {
    eventually("nothing is open", async || {
        let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
        here(world).await["pending"] == nothing
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_out_of_a_snyk_group_that_is_configured_no_more() {
    let mut scene = Scene::new("").await;
    scene.offer(&BOTH, &BOTH[..2]);
    assert!(!roles(&scene.world, "ben").await.is_empty(), "it is kept");
    for id in [&scene.ann, &scene.mel] {
        activate(&scene.world, id, false).await.expect(200);
    }
    scene.delete(&scene.ben).await;
    scene.is_out(&["ann", "ben", "mel"]).await;
    nothing_is_open(&scene.world).await;
    let (said, _, ok) = scene.world.run(&["status"]);
    assert!(ok, "{said}");

    // What is asked for there waits for the role.
    activate(&scene.world, &scene.ann, true).await.expect(200);
    nothing_is_open(&scene.world).await;
    assert_eq!(roles(&scene.world, "ann").await, just(VIEWER));
    scene.offer(&BOTH[..2], &BOTH);
    eventually("ann has both again", async || {
        roles(&scene.world, "ann").await.len() == 2
    })
    .await;
    assert!(roles(&scene.world, "mel").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_before_the_configuration_changed_is_out_of_it_too() {
    let mut scene = Scene::new("").await;
    let failure = json!({ "status": { "status": 503 } });
    let rule = json!({ "writes": true, "failure": failure });
    scene.world.faults(json!({ "rules": [rule] })).await;
    activate(&scene.world, &scene.ann, false).await.expect(200);
    activate(&scene.world, &scene.mel, false).await.expect(200);
    let (before, now) = (offered(&BOTH), offered(&BOTH[..2]));
    scene.world.reconfigure(|text| text.replace(&before, &now));
    scene.world.stop_bridge();
    scene.world.faults(json!({})).await;
    scene.world.start_bridge();
    scene.is_out(&["ann", "mel"]).await;
    assert_eq!(roles(&scene.world, "ben").await.len(), 1);
}

/// As long as nothing of Labs can be read, for whatever reason.
async fn labs_fails(own: &str, failure: Value, why: &str, configured: bool) {
    let mut scene = Scene::new(own).await;
    let mut rest = json!({});
    if !configured {
        scene.offer(&BOTH, &BOTH[..2]);
    }
    let rule = json!({ "target": snyk_group(2), "failure": failure });
    scene.world.faults(json!({ "rules": [rule] })).await;
    let began = Instant::now();
    for id in [&scene.ann, &scene.mel] {
        activate(&scene.world, id, false).await.expect(200);
    }
    eventually("both are out of Example", async || {
        let has = [
            roles(&scene.world, "ann").await,
            roles(&scene.world, "mel").await,
        ];
        has.iter().flatten().all(|role| role.starts_with("Labs/"))
    })
    .await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{why}: {took:?}");
    let (ann, mel) = (json!(scene.ann), json!(scene.mel));
    eventually("it is told who waits, and for what", async || {
        rest = here(&scene.world).await;
        let all = rest["waiting"].as_array().unwrap();
        let told = |user: &Value| {
            let mut of = all.iter().filter(|it| it["user"] == *user);
            of.any(|it| {
                let reason = it["reason"].as_str().unwrap();
                reason.contains(&snyk_group(2)) && reason.contains(why)
            })
        };
        told(&ann) && told(&mel)
    })
    .await;
    assert_eq!(rest["pending"]["users"], 2, "{rest}");
    let (said, _, ok) = scene.world.run(&["status"]);
    assert!(!ok && said.contains(why), "{said}");
    assert_eq!(roles(&scene.world, "ann").await.len(), 1);

    scene.world.faults(json!({})).await;
    scene.is_out(&["ann", "mel"]).await;
    nothing_is_open(&scene.world).await;
    assert_eq!(here(&scene.world).await["waiting"], json!([]));
}

/// Labs can be read again, and whoever waited for that is a viewer and nothing else.
async fn is_in_labs_no_more(world: &World, name: &str) {
    world.faults(json!({})).await;
    eventually(name, async || roles(world, name).await == just(VIEWER)).await;
    nothing_is_open(world).await;
    assert_eq!(here(world).await["waiting"], json!([]));
}

fn status(status: u16) -> Value {
    json!({ "status": { "status": status } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snyk_group_that_is_not_shown_delays_itself_alone() {
    labs_fails("", status(404), "is not visible", true).await;
    labs_fails("", status(404), "is not visible", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_that_may_not_be_read_or_answers_errors() {
    labs_fails("", status(403), "refuses to let", true).await;
    labs_fails("", status(500), "cannot be read", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_that_does_not_answer() {
    labs_fails("timeout = \"14s\"", json!("silent"), "cannot be read", true).await;
}

/// Whether it is told of somebody that Labs may not be read.
async fn waits_for_labs(world: &World, id: &str) -> bool {
    let here = here(world).await;
    let mut all = here["waiting"].as_array().unwrap().iter();
    all.any(|it| {
        let reason = it["reason"].as_str().unwrap();
        it["user"] == *id && reason.contains(&snyk_group(2)) && reason.contains("refuses to let")
    })
}

/// Of somebody who comes back, and was never in Labs.
async fn labs_keeps_nobody_out(own: &str, restarts: bool) {
    let scene = Scene::new(own).await;
    let mut world = scene.world;
    let viewer = role(&world, VIEWER).await;
    let back = id_of_user(&world, "cat").await;
    add(&world, &viewer, &back).await.expect(204);
    nothing_is_open(&world).await;
    assert_eq!(roles(&world, "cat").await, just(VIEWER));
    let rule = json!({ "target": snyk_group(2), "failure": status(403) });
    world.faults(json!({ "rules": [rule] })).await;
    activate(&world, &back, false).await.expect(200);
    eventually("she is out, and it is told what is not known", async || {
        roles(&world, "cat").await.is_empty() && waits_for_labs(&world, &back).await
    })
    .await;
    if restarts {
        world.stop_bridge();
        world.start_bridge();
    }
    activate(&world, &back, true).await.expect(200);
    eventually("she is back", async || {
        roles(&world, "cat").await == just(VIEWER)
    })
    .await;
    nothing_is_open(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snyk_group_that_may_not_be_read_keeps_nobody_who_comes_back_out_of_another() {
    labs_keeps_nobody_out("", false).await;
    labs_keeps_nobody_out("", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_never_linked_waits_for_all_snyk_groups_and_is_told_of_the_one() {
    let own = format!("{LINK}\n{}", offered(&BOTH));
    let world = snyk_with(SOON, &own).await;
    let viewer = role(&world, VIEWER).await;
    let mut company = company();
    let new = json!({ "email": address("new") });
    company["users"].as_array_mut().unwrap().push(new);
    world.seed(company).await;
    let rule = json!({ "target": snyk_group(2), "failure": status(403) });
    world.faults(json!({ "rules": [rule] })).await;
    // Another one there may have the same address.
    let new = world.user("new").await;
    eventually("it is told what is not known", async || {
        waits_for_labs(&world, &new).await
    })
    .await;
    add(&world, &viewer, &new).await.expect(204);
    assert!(roles(&world, "new").await.is_empty());
    is_in_labs_no_more(&world, "new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_who_must_have_nothing_and_was_never_linked() {
    let own = format!("{LINK}\n{}", offered(&BOTH));
    let world = snyk_with(SOON, &own).await;
    let rule = json!({ "target": snyk_group(2), "failure": status(403) });
    world.faults(json!({ "rules": [rule] })).await;
    let mut new = user("new");
    new["active"] = false.into();
    let made = world.send("POST", "/Users", Some(new)).await.expect(201);
    let new = made.body["id"].as_str().unwrap().to_owned();
    eventually("it is told what is not known", async || {
        waits_for_labs(&world, &new).await
    })
    .await;
    world.faults(json!({})).await;
    nothing_is_open(&world).await;
    assert_eq!(here(&world).await["waiting"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_from_a_snyk_group_that_cannot_be_read_is_told_of() {
    let scene = Scene::new("").await;
    let world = scene.world;
    let labs = role_of(&world, "Labs", MEMBER).await;
    let rule = json!({ "target": snyk_group(2), "failure": status(403) });
    world.faults(json!({ "rules": [rule] })).await;
    remove(&world, &labs, &scene.ann).await.expect(204);
    eventually("it is told for want of what ann stays", async || {
        waits_for_labs(&world, &scene.ann).await
    })
    .await;
    let here_now = here(&world).await;
    let group = labs.trim_start_matches("/Groups/");
    assert_eq!(here_now["waiting"][0]["group"], group, "{here_now}");
    assert_eq!(here_now["pending"]["memberships"], 1, "{here_now}");
    let (said, ..) = world.run(&["status"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = format!(
        "User {} in Group {group}, remove, waits: of the Snyk",
        scene.ann
    );
    assert!(said.contains(&told), "{said}");
    is_in_labs_no_more(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_out_of_a_snyk_group_that_was_not_listed_for_a_while() {
    let world = snyk_with(SOON, LINK).await;
    let mel = id_of_user(&world, "mel").await;
    let without = |left: &dyn Fn(&Value) -> bool| {
        let mut company = company();
        company["groups"].as_array_mut().unwrap().retain(left);
        company
    };
    world.seed(without(&|team| team["name"] != "Labs")).await;
    activate(&world, &mel, false).await.expect(200);
    eventually("it is told that Labs may have mel", async || {
        let all = here(&world).await["waiting"].clone();
        let mut all = all.as_array().into_iter().flatten();
        all.any(|it| {
            let reason = it["reason"].as_str().unwrap();
            it["user"] == mel.as_str() && reason.contains(&snyk_group(2))
        })
    })
    .await;
    assert!(!world.run(&["status"]).2);
    let example = |team: &Value| team["name"] != "Example" || team["type"] != MEMBER;
    world.seed(without(&example)).await;
    assert!(!roles(&world, "mel").await.is_empty());
    eventually("mel is out", async || roles(&world, "mel").await.is_empty()).await;
    nothing_is_open(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_the_configuration_is_told_and_is_no_alarm() {
    let mut scene = Scene::new("").await;
    scene.offer(&BOTH, &BOTH[..2]);
    for arguments in [
        &["reconcile"][..],
        &["reconcile", "--apply"],
        &["reconcile"],
    ] {
        let (said, wrong, ok) = scene.world.run(arguments);
        assert!(ok, "{said} {wrong}");
        assert!(said.contains("left out of the configuration"), "{said}");
        assert!(!said.contains("not there any more"), "{said}");
        let (said, _, ok) = scene.world.run(&["status"]);
        let told = said.contains("left out") && said.contains("2 memberships");
        assert!(ok && told && !said.contains("lack access"), "{said}");
    }
    let last = here(&scene.world).await["lastReconciliation"].clone();
    let now = here(&scene.world).await;
    let of = &now["asAsked"]["memberships"];
    let [all, done, here] =
        [&of["all"], &of["done"], &now["memberships"]].map(|number| number.as_u64().unwrap());
    // Of ann, ben and mel nobody knows whether they have what is left out.
    assert_eq!((all + 3, done), (here, all), "{now}");
    let counts = [&last["groups_left_out"], &last["asked_in_left_out"]];
    assert_eq!(counts, [&json!(1), &json!(2)], "ann and ben");
    assert_eq!(
        last["left"],
        json!({ "accounts": 0, "groups": 0, "memberships": 0 })
    );

    scene.offer(&BOTH[..2], &BOTH);
    let (said, wrong, ok) = scene.world.run(&["reconcile"]);
    assert!(ok && !said.contains("left out"), "{said} {wrong}");
}
